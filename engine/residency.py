"""Which workers are in memory, when one is loaded and when one goes. Pure: events and moments in, effects out.

Starting, draining and asking workers how busy they are is `gateway.supervision.loader`'s work. States of a worker:

    unloaded --Start--> starting --loaded--> loaded --Drain--> draining --died--> unloaded
       starting, loaded --died--> restarting --loaded--> loaded
       starting, loaded, restarting --failed--> held --after its time--> unloaded

Rules:

 (1) The sum of `needs_bytes` over all that are neither unloaded nor held never exceeds the budget; a budget of 0
     bounds nothing. A worker that alone is above the budget is held for ever.
 (2) At the start workers are loaded in the order of the plan as far as they fit, first of each model before second.
 (3) A group is all workers of one model and role. Each gateway says all that its requests wait for; that lapses
     `WANTED_S` after it was said last. Groups without a worker are served in the order in which they began
     to wait; a younger one may pass an older one that cannot have room now, but not once that one has waited the
     patience, and nobody takes room that was made for another.
 (4) Who makes room is `engine.eviction`'s decision.
 (5) A wanted group that has a worker already gets its next one only out of free room.
 (6) An idle worker that nobody wants goes when its time is over: `keep_alive_s` after its last use (None: never), or
     later where a caller asked for that. Keeping alive never holds out against rule 4.
 (7) A worker that was told to go, or by its own word leaves, is ended when it has not gone after the longest time that
     a gateway's callers may be answered for, and `FAREWELL_S` (`LONGEST_DRAIN_S` while no gateway has said how long
     that is): one that was taken over would keep its room, or its slots, for ever.
 (8) A worker that died stays counted while its keeper starts it again. One that its keeper gave up on is held, not
     counted, and may be wanted again after a time; without a budget it is then started by itself.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from engine.eviction import Occupant, victims

WANTED_S = 3.0
"""Gateways say what they wait for at every change, and every second while it is something."""

LONGEST_DRAIN_S = 3600.0
FAREWELL_S = 60.0
"""For the last steps, the farewells of the gateways, and the end of the process."""

Group = tuple[str, str]
"""Model and role."""
State = Literal["unloaded", "starting", "restarting", "loaded", "draining", "held"]
COMING: frozenset[State] = frozenset({"starting", "restarting"})
RESIDENT: frozenset[State] = COMING | {"loaded", "draining"}


class WorkerNeeds(Struct, frozen=True, kw_only=True):
    """One worker of the plan: its group, and the memory it is counted with."""

    name: str
    model: str
    role: str
    needs_bytes: int = 0

    @property
    def group(self) -> Group:
        """Whose demand it serves."""
        return self.model, self.role


class Start(Struct, frozen=True):
    """Start this worker now."""

    worker: str


class Drain(Struct, frozen=True):
    """Let this worker finish what it runs, and end."""

    worker: str


Effect = Start | Drain


class Residence(Struct, frozen=True, kw_only=True):
    """How it is with one worker. Moments are of the caller's clock; `expires_s` None: not by itself.

    `load_s` is how long its last load took, 0 before the first; `reason` why it is held.
    """

    name: str
    model: str
    role: str
    needs_bytes: int
    state: State
    since_s: float
    load_s: float = 0.0
    expires_s: float | None = None
    reason: str = ""


class _Worker:
    """What is known of one worker."""

    __slots__ = ("busy", "expires_s", "load_s", "loaded_s", "needs", "reason", "since_s", "started", "state", "used_s")

    def __init__(self, needs: WorkerNeeds) -> None:
        self.needs = needs
        self.state: State = "unloaded"
        self.since_s = 0.0
        self.load_s = 0.0
        self.loaded_s = 0.0
        self.used_s = 0.0
        self.expires_s = 0.0
        self.busy = False
        self.started = 0
        self.reason = ""

    def enter(self, state: State, now_s: float, reason: str = "") -> None:
        """Go to `state`."""
        self.state, self.since_s, self.reason, self.busy, self.started = state, now_s, reason, False, 0

    def occupant(self, *, wanted: bool) -> Occupant:
        """As eviction sees it. One that was loaded for somebody who has not had it yet counts as busy."""
        return Occupant(
            name=self.needs.name,
            needs_bytes=self.needs.needs_bytes,
            loaded_s=self.loaded_s,
            used_s=self.used_s,
            load_s=self.load_s,
            busy=self.busy or (wanted and not self.started),
        )

    def residence(self) -> Residence:
        """For those who look."""
        expires = self.state == "loaded" and self.expires_s < math.inf
        return Residence(
            name=self.needs.name,
            model=self.needs.model,
            role=self.needs.role,
            needs_bytes=self.needs.needs_bytes,
            state=self.state,
            since_s=self.since_s,
            load_s=self.load_s,
            expires_s=self.expires_s if expires else None,
            reason=self.reason,
        )


class Residency:
    """See the head of the module. Every event is followed by `tick`, which decides; events alone decide nothing."""

    def __init__(
        self,
        workers: Sequence[WorkerNeeds],
        *,
        budget_bytes: int = 0,
        keep_alive_s: float | None = None,
        patience_s: float = 10.0,
    ) -> None:
        self._workers = {each.name: _Worker(each) for each in workers}
        self._budget_bytes = budget_bytes or math.inf
        self._keep_alive_s = math.inf if keep_alive_s is None else keep_alive_s
        self._patience_s = patience_s
        self._said: dict[int, tuple[frozenset[Group], float]] = {}
        self._wanted: dict[Group, float] = {}
        self._longest_answers_s: dict[int, float] = {}
        self._away: dict[str, tuple[float, float]] = {}
        for worker in self._workers.values():
            if worker.needs.needs_bytes > self._budget_bytes:
                worker.enter("held", math.inf, f"needs {worker.needs.needs_bytes} of {budget_bytes} bytes")

    # ---- events

    def begin(self, now_s: float) -> list[Effect]:
        """Rule 2."""
        effects: list[Effect] = []
        seen: dict[Group, int] = {}
        ranks = {}
        for name, worker in self._workers.items():
            ranks[name] = seen[worker.needs.group] = seen.get(worker.needs.group, -1) + 1
        for _, worker in sorted(self._workers.items(), key=lambda item: ranks[item[0]]):
            if worker.state == "unloaded" and worker.needs.needs_bytes <= self._free_bytes():
                effects.append(self._start(worker, now_s))
        return effects

    def want(self, source: int, groups: Iterable[Group], now_s: float) -> None:
        """All that requests of this gateway wait for."""
        self._said[source] = frozenset(groups), now_s + WANTED_S
        self._add_up(now_s)

    def said_away(self, source: int, away: Iterable[str], longest_answer_s: float, now_s: float) -> None:
        """Which workers told this gateway that they leave, said as often as what is wanted; and how long an answer of
        its callers may take, 0 when it has not said or is gone.
        """
        self._longest_answers_s.pop(source, None)
        if longest_answer_s:
            self._longest_answers_s[source] = longest_answer_s
        for name in away:
            since_s, said_s = self._away.get(name, (now_s, now_s))
            self._away[name] = (since_s if now_s - said_s <= WANTED_S else now_s, now_s)

    def keep(self, model: str, seconds: float, now_s: float) -> None:
        """A caller's hint: keep the model loaded at least so long from now, infinity for as long as it can be."""
        for worker in self._of_model(model):
            worker.expires_s = max(worker.expires_s, now_s + seconds)

    def release(self, model: str, now_s: float) -> None:
        """Who may asked for the model to go: it does once it is idle and nobody waits for it."""
        for worker in self._of_model(model):
            worker.expires_s = now_s

    def loaded(self, name: str, now_s: float) -> None:
        """The worker serves. Its stay begins; how long the load took is not told by a restart."""
        worker = self._workers[name]
        if worker.state in COMING:
            load_s = now_s - worker.since_s if worker.state == "starting" else worker.load_s
            worker.enter("loaded", now_s)
            worker.load_s, worker.loaded_s = load_s, now_s
            self._used(worker, now_s)

    def busy(self, name: str, busy_slots: int, started: int, now_s: float) -> None:
        """How busy the worker is, and how many requests it has begun since its start."""
        worker = self._workers[name]
        worker.busy = busy_slots > 0
        if worker.busy or started != worker.started:
            self._used(worker, now_s)
        worker.started = started

    def died(self, name: str, now_s: float) -> None:
        """The process is gone. Its keeper starts it again, unless it was to go (rule 8)."""
        worker = self._workers[name]
        self._away.pop(name, None)
        if worker.state in RESIDENT:
            worker.enter("unloaded" if worker.state == "draining" else "restarting", now_s)

    def failed(self, name: str, retry_s: float, reason: str, now_s: float) -> None:
        """Its keeper has given up on it for `retry_s`; `reason` is one line."""
        worker = self._workers[name]
        if worker.state in RESIDENT:
            worker.enter("held", now_s + retry_s, reason)

    def tick(self, now_s: float) -> list[Effect]:
        """Decide."""
        self._add_up(now_s)
        effects = self._end_holds(now_s)
        effects += self._let_expired_go(now_s)
        return effects + self._serve(now_s)

    # ---- questions

    def residences(self) -> tuple[Residence, ...]:
        """All workers, in the order of the plan."""
        return tuple(worker.residence() for worker in self._workers.values())

    def state(self, name: str) -> State:
        """Of one worker."""
        return self._workers[name].state

    def is_overdue(self, name: str, now_s: float) -> bool:
        """Rule 7."""
        worker = self._workers[name]
        since_s, said_s = self._away.get(name, (math.inf, -math.inf))
        if worker.state == "draining":
            since_s = worker.since_s
        elif now_s - said_s > WANTED_S:  # no gateway says so any more
            return False
        return now_s - since_s > self.longest_leaving_s()

    def longest_leaving_s(self) -> float:
        """Rule 7."""
        longest_s = max(self._longest_answers_s.values(), default=0.0)
        return longest_s + FAREWELL_S if longest_s else LONGEST_DRAIN_S

    # ---- decisions

    def _end_holds(self, now_s: float) -> list[Effect]:
        over = [each for each in self._workers.values() if each.state == "held" and each.since_s <= now_s]
        for worker in over:
            worker.enter("unloaded", now_s)
        return [self._start(worker, now_s) for worker in over if self._budget_bytes == math.inf]

    def _let_expired_go(self, now_s: float) -> list[Effect]:
        """Rule 6."""
        return [
            self._drain(worker, now_s)
            for worker in self._workers.values()
            if worker.state == "loaded"
            and not worker.busy
            and worker.expires_s <= now_s
            and worker.needs.group not in self._wanted
        ]

    def _serve(self, now_s: float) -> list[Effect]:
        """Rules 3 and 5. One group makes others go at a time: what comes free is for it."""
        effects: list[Effect] = []
        for group, since_s in sorted(self._wanted.items(), key=lambda item: (item[1], item[0])):
            workers = [each for each in self._workers.values() if each.needs.group == group]
            next_one = next((each for each in workers if each.state == "unloaded"), None)
            if next_one is None or any(each.state in COMING for each in workers):
                continue
            if next_one.needs.needs_bytes <= self._free_bytes():
                effects.append(self._start(next_one, now_s))
            elif not any(each.state == "loaded" for each in workers):
                made, is_next = self._make_room(next_one, now_s - since_s, now_s)
                effects += made
                if is_next:
                    break
        return effects

    def _make_room(self, worker: _Worker, waited_s: float, now_s: float) -> tuple[list[Effect], bool]:
        """What is done so that `worker` will fit, and whether all free room is its from now on."""
        going_bytes = sum(each.needs.needs_bytes for each in self._in("draining"))
        lacking_bytes = worker.needs.needs_bytes - int(self._free_bytes()) - going_bytes
        if lacking_bytes <= 0:
            return [], True
        found = victims(
            [each.occupant(wanted=each.needs.group in self._wanted) for each in self._in("loaded")],
            lacking_bytes,
            waited_s=waited_s,
            patience_s=self._patience_s,
            now_s=now_s,
        )
        return [self._drain(self._workers[name], now_s) for name in found], bool(found) or waited_s >= self._patience_s

    # ---- inside

    def _add_up(self, now_s: float) -> None:
        """What is wanted over all gateways, each since when without a break."""
        self._said = {source: said for source, said in self._said.items() if said[0] and said[1] >= now_s}
        wanted = frozenset[Group]().union(*(groups for groups, _ in self._said.values()))
        self._wanted = {group: self._wanted.get(group, now_s) for group in sorted(wanted)}

    def _free_bytes(self) -> float:
        return self._budget_bytes - sum(
            each.needs.needs_bytes for each in self._workers.values() if each.state in RESIDENT
        )

    def _in(self, state: State) -> list[_Worker]:
        return [each for each in self._workers.values() if each.state == state]

    def _of_model(self, model: str) -> list[_Worker]:
        return [
            each
            for each in self._workers.values()
            if each.needs.model == model and each.state in RESIDENT and each.state != "draining"
        ]

    def _start(self, worker: _Worker, now_s: float) -> Start:
        worker.enter("starting", now_s)
        worker.expires_s = 0.0
        return Start(worker.needs.name)

    def _drain(self, worker: _Worker, now_s: float) -> Drain:
        worker.enter("draining", now_s)
        return Drain(worker.needs.name)

    def _used(self, worker: _Worker, now_s: float) -> None:
        worker.used_s = now_s
        worker.expires_s = max(worker.expires_s, now_s + self._keep_alive_s)
