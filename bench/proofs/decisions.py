"""How long the queue takes to decide: the median and the 99th percentile of every kind of event.

20 teams in two bands, 4 targets of 4 slots, 2,000 requests waiting, each of 1,150 prompt tokens with block hashes, a
promise and an identity; every team has bookings as well. In each turn every kind of event happens once and the line is
filled up again, so that it is always of that length. Python's garbage collector runs as it does in the gateway: with
its own thresholds, over all that the queue keeps; the time it takes lies within the events it interrupts.

 * p99 of an arrival that must wait, of one that is refused and booked, and of an end that hands its slot on: at most
   200 us each.
 * What is asked several times a second by many (the forecast of one that waits): at most 200 us as well.
"""

import gc
import time
from collections.abc import Callable
from itertools import count

from policies.admission import TAKEN_PAUSE_S, Queue
from policies.admitting.effects import Dispatch, Effect, Refuse, Waits
from policies.admitting.events import (
    Arrived,
    BandsChanged,
    Began,
    Ended,
    Grew,
    Left,
    QueueEvent,
    SlotTaken,
    Stepped,
    TargetLost,
    TargetReady,
    Tick,
)
from policies.admitting.ticket import BandTerms, Bounds, Served, Step, TargetFacts, Ticket

TEAMS = 20
WAITING = 2_000
TURNS = 2_000
BOOKED = 1_000
"""For each team, before the first turn; close to the most that are kept (`bookings.MAX_BOOKINGS`)."""
PROMPT_TOKENS = 1_150
"""The mean of the recorded conversations (Azure 2023)."""
P99_US = 200.0
TIGHT_S = 0.5
PATIENT_S = 1e6
FILLING = "filling"
BOUNDED = ("arrived, waits", "arrived, refused", "ended, dispatches", "forecast")
BOUNDS = Bounds(total=1_000_000, team=1_000_000)
FACTS = tuple(TargetFacts(id=f"w{n}", pools=(("m", "", "chat"),), slots=4) for n in range(4))
STEP = Step(step_s=0.05, decode_rows=4, prefill_rows=0, busy_slots=4)
SERVED = Served(prompt_tokens=PROMPT_TOKENS, cached_tokens=64, output_tokens=200)


class Load:
    """A full queue on a clock of its own, and the nanoseconds that each kind of event took."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.now_s = 1_000.0
        self.running: dict[int, Ticket] = {}
        self.waiting: list[int] = []
        self.taken_ns: dict[str, list[int]] = {}
        self._ids = count(1)

    def ticket(self, promise_s: float = 0.0) -> Ticket:
        """The next caller's, of the teams in turn."""
        number = next(self._ids)
        team = number % TEAMS
        shared = tuple(b"team%d/%d" % (team, block) for block in range(4))
        own = tuple(b"%d/%d" % (number, block) for block in range(PROMPT_TOKENS // 64 - 4))
        return Ticket(
            id=number,
            model="m",
            kind="chat",
            team=f"team{team}",
            band="batch" if team % 4 == 0 else "usual",
            weight=1.0 + team % 3,
            arrived_s=self.now_s,
            promise_s=promise_s or PATIENT_S + number % 7,
            prompt_tokens=PROMPT_TOKENS,
            output_cap=1024,
            blocks=shared + own,
            identity=number.to_bytes(16, "big"),
        )

    def tell(self, kind: str, event: QueueEvent) -> list[Effect]:
        """Let it happen, and note how long the decision took."""
        self.now_s += 0.0001 if kind == FILLING else 0.1
        effects: list[Effect] = self._timed(kind, lambda: self.queue.handle(event, self.now_s))
        for effect in effects:
            if isinstance(effect, Dispatch):
                self.running[effect.ticket.id] = effect.ticket
            elif isinstance(effect, Waits):
                self.waiting.append(effect.ticket.id)
        return effects

    def ask(self, kind: str, question: Callable[[], object]) -> None:
        """The same for a question."""
        self._timed(kind, question)

    def oldest(self) -> int:
        """One that runs."""
        return next(iter(self.running))

    def _timed(self, kind: str, decide: Callable[[], list[Effect]] | Callable[[], object]) -> list[Effect]:
        began_ns = time.thread_time_ns()
        answer = decide()
        self.taken_ns.setdefault(kind, []).append(time.thread_time_ns() - began_ns)
        return answer if isinstance(answer, list) else []


def filled() -> Load:
    """As the head of the module says."""
    load = Load(Queue())
    load.tell("bands", BandsChanged((BandTerms("usual", 0.7), BandTerms("batch", 0.2))))
    for facts in FACTS:
        load.tell("target ready", TargetReady(facts))
    for _ in range(WAITING + 16):
        load.tell(FILLING, Arrived(load.ticket(), BOUNDS))
    for _ in range(TEAMS * BOOKED):
        load.tell(FILLING, Arrived(load.ticket(TIGHT_S), BOUNDS))
    return load


def turn(load: Load) -> None:
    """Every kind of event once; as many wait after it as before."""
    ended = load.oldest()
    load.tell("began", Began(ended))
    load.tell("grew", Grew(ended, 100))
    load.tell("stepped", Stepped("w0", STEP))
    del load.running[ended]
    assert load.tell("ended, dispatches", Ended(ended, SERVED)), "a full line dispatches at each end"
    gone = load.oldest()
    del load.running[gone]
    assert load.tell("left, dispatches", Left(gone)), "a slot that is left is given on"
    while load.queue.forecast(leaver := load.waiting.pop(), load.now_s).position == 0:
        pass  # has had its turn meanwhile
    load.ask("forecast", lambda: load.queue.forecast(leaver, load.now_s))
    load.tell("left, waiting", Left(leaver))
    taken = load.oldest()
    del load.running[taken]
    load.tell("slot taken", SlotTaken(taken))
    load.now_s += TAKEN_PAUSE_S
    assert load.tell("tick, dispatches", Tick()), "a target that was left alone is tried again"
    load.tell("tick", Tick())
    for facts in FACTS:
        load.tell("target ready", TargetReady(facts))
    [refused] = load.tell("arrived, refused", Arrived(load.ticket(TIGHT_S), BOUNDS))
    assert isinstance(refused, Refuse), f"what is promised at once cannot be kept in a full pool: {refused}"
    while load.queue.waiting() < WAITING:
        [waits] = load.tell("arrived, waits", Arrived(load.ticket(), BOUNDS))
        assert isinstance(waits, Waits), f"without a free slot it waits: {waits}"


def prove(turns: int = TURNS) -> dict[str, object]:
    """All kinds of events, `turns` times; then one of each of the rare ones."""
    assert gc.isenabled(), "the gateway runs with its garbage collector"
    load = filled()
    load.taken_ns.clear()
    for _ in range(turns):
        turn(load)
    load.ask("view", lambda: load.queue.view(load.now_s))
    load.tell("target lost", TargetLost(FACTS[0]))
    figures = {kind: _figures(taken) for kind, taken in sorted(load.taken_ns.items())}
    for kind, row in figures.items():
        print(f"  {kind:22} {row['count']:>6}  p50 {row['p50_us']:>8} us  p99 {row['p99_us']:>8} us", flush=True)
    over = {kind: figures[kind]["p99_us"] for kind in BOUNDED if figures[kind]["p99_us"] > P99_US}
    assert not over, f"p99 above {P99_US} us: {over}"
    return {"waiting": WAITING, "teams": TEAMS, "slots": 16, "events": figures}


def _figures(taken_ns: list[int]) -> dict[str, float]:
    ordered = sorted(taken_ns)
    return {
        "count": len(ordered),
        "p50_us": round(ordered[len(ordered) // 2] / 1e3, 1),
        "p99_us": round(ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)] / 1e3, 1),
        "most_us": round(ordered[-1] / 1e3, 1),
    }
