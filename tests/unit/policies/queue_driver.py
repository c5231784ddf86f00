"""Drives a Queue by hand: short ways to make tickets and targets, and a record of who waits and who runs."""

from typing import Any

from policies.admission import Queue
from policies.admitting.effects import Dispatch, Effect, Refuse, Waits
from policies.admitting.events import (
    Arrived,
    BandsChanged,
    Began,
    Ended,
    Left,
    QueueEvent,
    SlotTaken,
    TargetLost,
    TargetReady,
    Tick,
)
from policies.admitting.target import Domain, Running
from policies.admitting.team_account import TeamAccount
from policies.admitting.ticket import BandTerms, Bounds, PoolKey, Served, TargetFacts, Ticket

POOL: PoolKey = ("m", "", "chat")
OTHER: PoolKey = ("n", "", "chat")
WIDE = Bounds(total=1_000_000, team=1_000_000)


def ticket(number: int, team: str = "a", **terms: Any) -> Ticket:
    """One request for `POOL`, unless `terms` say otherwise."""
    given: dict[str, Any] = {"model": "m", "kind": "chat", "arrived_s": 0.0, "prompt_tokens": 100}
    return Ticket(id=number, team=team, **(given | terms))


def facts(name: str = "w", slots: int = 1, pools: tuple[PoolKey, ...] = (POOL,), **terms: Any) -> TargetFacts:
    """One target."""
    return TargetFacts(id=name, pools=pools, slots=slots, **terms)


class Driver:
    """A queue, its clock, and who by its effects waits and runs (on which target). Numbers the tickets itself."""

    def __init__(self, *targets: TargetFacts, bands: tuple[BandTerms, ...] = (), queue: Queue | None = None) -> None:
        self.queue = queue or Queue()
        self.now_s = 1_000.0
        self.waiting: dict[int, Ticket] = {}
        self.running: dict[int, tuple[Ticket, str]] = {}
        self.refused: list[Refuse] = []
        self.order: list[int] = []
        self.last = 0
        if bands:
            self.tell(BandsChanged(bands))
        for each in targets:
            self.tell(TargetReady(each))

    def tell(self, event: QueueEvent) -> list[Effect]:
        """Let it happen, and note its effects; fails for an effect that its ticket's state does not allow."""
        effects = self.queue.handle(event, self.now_s)
        arriving = event.ticket.id if isinstance(event, Arrived) else None
        if isinstance(event, Left | Ended | SlotTaken):
            self.waiting.pop(event.id, None)
            gone = self.running.pop(event.id, None)
            if gone and isinstance(event, SlotTaken):
                self.waiting[event.id] = gone[0]
        for effect in effects:
            known = effect.ticket.id in self.waiting or effect.ticket.id == arriving
            assert known, f"{effect} for one that does not wait"
            assert effect.ticket.id not in self.running, f"{effect} for one that runs"
            self._note(effect)
        return effects

    def arrive(self, team: str = "a", bounds: Bounds = WIDE, **terms: Any) -> int:
        """A request of `team` comes now; its number."""
        self.last += 1
        asked = ticket(self.last, team, **({"arrived_s": self.now_s} | terms))
        self.tell(Arrived(asked, bounds))
        return asked.id

    def end(self, number: int, output_tokens: int = 100, after_s: float = 0.0, **served: Any) -> list[Effect]:
        """The work of a running one is over; its first token came half-way."""
        self.now_s += after_s / 2
        self.tell(Began(number))
        self.now_s += after_s / 2
        prompt_tokens = self.running[number][0].prompt_tokens if number in self.running else 0
        return self.tell(Ended(number, Served(prompt_tokens, output_tokens=output_tokens, **served)))

    def leave(self, number: int) -> list[Effect]:
        """Its caller goes."""
        return self.tell(Left(number))

    def taken(self, number: int) -> list[Effect]:
        """Its target had no slot."""
        return self.tell(SlotTaken(number))

    def tick(self, after_s: float = 0.0) -> list[Effect]:
        """Time passes."""
        self.now_s += after_s
        return self.tell(Tick())

    def lose(self, target: TargetFacts) -> list[Effect]:
        """A target goes."""
        return self.tell(TargetLost(target))

    def ready(self, target: TargetFacts) -> list[Effect]:
        """A target comes."""
        return self.tell(TargetReady(target))

    def oldest(self) -> int:
        """The first of those that run."""
        return next(iter(self.running))

    def counter(self, team: str, band: str = "", pool: PoolKey = POOL) -> float:
        """The team's counter in the pool's domain."""
        return self.domain(pool).standings.counter(self.account(team), band)

    def account(self, team: str) -> TeamAccount:
        """What the queue keeps of a team."""
        return self.queue._known.accounts[team]

    def domain(self, pool: PoolKey = POOL) -> Domain:
        """Where the pool competes."""
        return self.queue._domains[pool]

    def run_of(self, number: int) -> Running:
        """What the queue keeps of one that runs."""
        return self.queue._running[number]

    def _note(self, effect: Effect) -> None:
        number = effect.ticket.id
        if isinstance(effect, Waits):
            self.waiting[number] = effect.ticket
            return
        self.waiting.pop(number, None)
        if isinstance(effect, Dispatch):
            self.running[number] = (effect.ticket, effect.target)
            self.order.append(number)
        else:
            self.refused.append(effect)
