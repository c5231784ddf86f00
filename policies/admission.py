"""The queue: who waits, who runs where, who is turned away. Decides; carries nothing out.

Theory of operation. Events come in, each with `now_s`; effects go out; one dispatcher carries them
out. The machine holds tickets and targets and no I/O:

    waiting --dispatch--> running --ended--> gone
       |  ^                  |
       |  +---slot_taken-----+
       +--left / refused--> gone

Rules.
* A pool is all targets that serve one model for one kind of call; each pool has one queue.
* Within a pool the order is first come, first served; pools do not wait for each other.
* A target never gets more than its slots. Its worker has the last word: `slot_taken` puts the ticket
  back at its place, and the target gets nothing until it reports a free slot or a second passed.
* What waits is bounded, in all and for each team. Beyond it: `Overloaded` with a time to come back.
* A pool without a living target keeps its waiters for `RETURN_GRACE_S` (a worker restarts in one or
  two seconds), then refuses them; a pool that never was is refused at once.
* Every effect names a ticket that this machine holds; a ticket that left is never dispatched.

Times are seconds of a monotonic clock. The order of teams, prices and promises are not decided here.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from policies.call import CallKind

RETURN_GRACE_S = 30.0
"""How long waiters stay when their last target is gone: longer than a restart with its first back-offs."""
TAKEN_PAUSE_S = 1.0
"""How long a target that answered SlotTaken is left alone when it reports nothing."""
MAX_RETRY_AFTER_S = 120.0
"""openai-python (3.54) does not retry at all above 120 s."""
SERVICE_SMOOTHING = 0.1
"""Weight of the newest service time in the running mean that Retry-After is computed from."""

PoolKey = tuple[str, CallKind]


class Ticket(Struct, frozen=True, kw_only=True):
    """One request in the machine. `id` is unique; `expires_s` (None: never) bounds its wait."""

    id: int
    model: str
    kind: CallKind
    team: str
    arrived_s: float
    expires_s: float | None = None


class Bounds(Struct, frozen=True):
    """How many may wait: over all teams, and of the ticket's own team."""

    total: int
    team: int


class Dispatch(Struct, frozen=True):
    """Run this ticket on this target now."""

    ticket: Ticket
    target: str


class Refuse(Struct, frozen=True):
    """Turn this ticket away; `reason` is the code told to the caller."""

    ticket: Ticket
    reason: Literal["queue_full", "team_queue_full", "expired_in_queue", "no_capacity"]
    retry_after_s: float


Effect = Dispatch | Refuse


class TargetView(Struct, frozen=True, kw_only=True):
    """What the machine knows of one target, for status pages and metrics."""

    id: str
    slots: int
    running: int
    ready: bool


class _Target:
    __slots__ = ("free_again_s", "id", "lost_s", "pools", "ready", "running", "slots")

    def __init__(self, target: str) -> None:
        self.id = target
        self.slots = 0
        self.pools: frozenset[PoolKey] = frozenset()
        self.ready = False
        self.lost_s = 0.0
        self.running: dict[int, Ticket] = {}
        self.free_again_s = 0.0

    def room(self, now_s: float) -> int:
        """Slots that may be given out now."""
        if not self.ready or now_s < self.free_again_s:
            return 0
        return self.slots - len(self.running)


class Queue:
    """The machine. Every method is one event and returns the effects it causes, in order."""

    def __init__(self) -> None:
        self._waiting: dict[PoolKey, OrderedDict[int, Ticket]] = {}
        self._targets: dict[str, _Target] = {}
        self._place: dict[int, _Target] = {}
        self._started_s: dict[int, float] = {}
        self._service_s = 1.0

    # ---- events

    def arrived(self, ticket: Ticket, bounds: Bounds, now_s: float) -> list[Effect]:
        """A request wants to run: dispatched, kept waiting (no effect), or refused at once."""
        key = (ticket.model, ticket.kind)
        if not self._may_return(key, now_s):
            return [Refuse(ticket, "no_capacity", self._retry_after_s(key))]
        queue = self._waiting.setdefault(key, OrderedDict())
        queue[ticket.id] = ticket
        effects = self._dispatch(key, now_s)
        if ticket.id not in queue:
            return effects
        full = self._over(bounds, ticket.team)
        if full is None:
            return effects
        del queue[ticket.id]
        return [*effects, Refuse(ticket, full, self._retry_after_s(key))]

    def left(self, ticket_id: int, now_s: float) -> list[Effect]:
        """The caller is gone, waiting or running."""
        for queue in self._waiting.values():
            if queue.pop(ticket_id, None) is not None:
                return []
        return self._release(ticket_id, now_s)

    def ended(self, ticket_id: int, now_s: float) -> list[Effect]:
        """The work of a running ticket is over; its time counts as a service time."""
        started_s = self._started_s.get(ticket_id)
        if started_s is not None:
            self._service_s += SERVICE_SMOOTHING * (now_s - started_s - self._service_s)
        return self._release(ticket_id, now_s)

    def slot_taken(self, ticket_id: int, now_s: float) -> list[Effect]:
        """The target had no slot after all: the ticket goes back to its place by arrival."""
        target = self._place.pop(ticket_id, None)
        if target is None:
            return []
        ticket = target.running.pop(ticket_id)
        self._started_s.pop(ticket_id)
        target.free_again_s = now_s + TAKEN_PAUSE_S
        key = (ticket.model, ticket.kind)
        queue = self._waiting.setdefault(key, OrderedDict())
        waiting = sorted([ticket, *queue.values()], key=lambda each: (each.arrived_s, each.id))
        self._waiting[key] = OrderedDict((each.id, each) for each in waiting)
        return self._dispatch(key, now_s)

    def step_report(self, target_id: str, busy_slots: int, now_s: float) -> list[Effect]:
        """A target finished a step with `busy_slots` in use, by whomever."""
        target = self._targets.get(target_id)
        if target is None or target.free_again_s <= now_s or busy_slots >= target.slots:
            return []
        target.free_again_s = now_s
        return self._dispatch_all(target.pools, now_s)

    def target_ready(self, target_id: str, pools: Iterable[PoolKey], slots: int, now_s: float) -> list[Effect]:
        """A target can take work: new, or back again."""
        target = self._targets.setdefault(target_id, _Target(target_id))
        target.pools, target.slots, target.ready, target.free_again_s = frozenset(pools), slots, True, now_s
        return self._dispatch_all(target.pools, now_s)

    def target_lost(self, target_id: str, pools: Iterable[PoolKey], now_s: float) -> list[Effect]:
        """A target cannot take work: dead, or known and not yet up. Its runs are ended by their streams."""
        target = self._targets.setdefault(target_id, _Target(target_id))
        target.pools = frozenset(pools) or target.pools
        if target.ready or not target.lost_s:
            target.ready, target.lost_s = False, now_s
        return []

    def tick(self, now_s: float) -> list[Effect]:
        """Time passed: refuse what expired or waits in vain, and try targets that were left alone."""
        effects: list[Effect] = []
        for key, queue in self._waiting.items():
            if self._may_return(key, now_s):
                doomed = [each for each in queue.values() if each.expires_s is not None and each.expires_s <= now_s]
                effects += self._drop(key, doomed, "expired_in_queue")
                effects += self._dispatch(key, now_s)
            else:
                effects += self._drop(key, list(queue.values()), "no_capacity")
        return effects

    # ---- questions

    def waiting(self, team: str | None = None) -> int:
        """How many tickets wait, of one team or in all."""
        return sum(team is None or each.team == team for queue in self._waiting.values() for each in queue.values())

    def position(self, ticket_id: int) -> int:
        """The ticket's place among its own team's waiters of its pool, 1 first; 0 when it does not wait."""
        for queue in self._waiting.values():
            if ticket_id in queue:
                team = queue[ticket_id].team
                own = [each.id for each in queue.values() if each.team == team]
                return own.index(ticket_id) + 1
        return 0

    def targets(self) -> tuple[TargetView, ...]:
        """All targets ever announced, in order of announcement."""
        return tuple(
            TargetView(id=each.id, slots=each.slots, running=len(each.running), ready=each.ready)
            for each in self._targets.values()
        )

    # ---- inside

    def _dispatch_all(self, keys: Iterable[PoolKey], now_s: float) -> list[Effect]:
        return [effect for key in sorted(keys) for effect in self._dispatch(key, now_s)]

    def _dispatch(self, key: PoolKey, now_s: float) -> list[Effect]:
        queue = self._waiting.get(key)
        effects: list[Effect] = []
        while queue and (target := self._freest(key, now_s)) is not None:
            ticket = queue.popitem(last=False)[1]
            target.running[ticket.id] = ticket
            self._place[ticket.id] = target
            self._started_s[ticket.id] = now_s
            effects.append(Dispatch(ticket, target.id))
        return effects

    def _freest(self, key: PoolKey, now_s: float) -> _Target | None:
        pool = [each for each in self._targets.values() if key in each.pools and each.room(now_s) > 0]
        return max(pool, key=lambda each: each.room(now_s), default=None)

    def _release(self, ticket_id: int, now_s: float) -> list[Effect]:
        target = self._place.pop(ticket_id, None)
        if target is None:
            return []
        del target.running[ticket_id]
        self._started_s.pop(ticket_id)
        return self._dispatch_all(target.pools, now_s)

    def _may_return(self, key: PoolKey, now_s: float) -> bool:
        pool = [each for each in self._targets.values() if key in each.pools]
        return any(each.ready or now_s - each.lost_s < RETURN_GRACE_S for each in pool)

    def _over(self, bounds: Bounds, team: str) -> Literal["queue_full", "team_queue_full"] | None:
        if self.waiting() > bounds.total:
            return "queue_full"
        return "team_queue_full" if self.waiting(team) > bounds.team else None

    def _drop(
        self, key: PoolKey, doomed: list[Ticket], reason: Literal["expired_in_queue", "no_capacity"]
    ) -> list[Effect]:
        for ticket in doomed:
            del self._waiting[key][ticket.id]
        return [Refuse(ticket, reason, self._retry_after_s(key)) for ticket in doomed]

    def _retry_after_s(self, key: PoolKey) -> float:
        """Work ahead over the pool's slots, in mean service times: when a newcomer might be served."""
        slots = sum(each.slots for each in self._targets.values() if key in each.pools and each.ready)
        if not slots:
            return 1.0
        rounds = len(self._waiting.get(key, ())) / slots + 1
        return min(MAX_RETRY_AFTER_S, max(1.0, rounds * self._service_s))
