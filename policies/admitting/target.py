"""What the queue knows of one target, and of all that share work: a domain."""

import math
from collections.abc import Iterable, Sequence

from policies.admitting.effects import Forecast
from policies.admitting.fading import Fading
from policies.admitting.lone_row import LoneRow
from policies.admitting.prefixes import BLOCK_TOKENS, Prefixes
from policies.admitting.rates import DecodeTable
from policies.admitting.standings import Standings
from policies.admitting.team_account import Waiting
from policies.admitting.ticket import PoolKey, Step, TargetFacts, Ticket

TAKEN_PAUSE_S = 1.0
"""How long a target that answered SlotTaken is left alone when it reports nothing."""
RETURN_GRACE_S = 30.0
"""How long waiters stay when their last target is gone: longer than a restart with its first back-offs."""
FIRST_LOAD_S = 3.0
"""What a load is taken to last before one was measured."""
LOADED_ON_DEMAND = ("absent", "loading")
UTILISATION_MEMORY_S = 60.0
LOAD_GAIN = 0.3
SHORTEST_SWAP_S = 0.05


class Running:
    """A ticket that runs: where, since when, what was charged for it, and how far it is."""

    __slots__ = (
        "asked_s",
        "began_full",
        "began_s",
        "charged_s",
        "forecast",
        "output_tokens",
        "since_s",
        "target",
        "ticket",
        "uncached_tokens",
    )

    def __init__(self, ticket: Ticket, target: "Target", since_s: float, charged_s: float) -> None:
        self.ticket = ticket
        self.target = target
        self.since_s = since_s
        self.charged_s = charged_s
        self.uncached_tokens = 0.0
        self.began_s: float | None = None
        self.began_full = False
        self.output_tokens = 0
        self.forecast = Forecast()
        self.asked_s = ticket.arrived_s


class Target:
    """One target: a worker or an upstream. `lost_s` is when it was last known not to be ready."""

    def __init__(self, facts: TargetFacts) -> None:
        self.facts = facts
        self.is_ready = False
        self.lost_s = 0.0
        self.load_s = FIRST_LOAD_S
        self.swap_s = 0.0
        self.resident: PoolKey | None = None
        self.running: dict[int, Running] = {}
        self.free_again_s = 0.0
        self.lone = LoneRow()
        self.tenant: str | None = None
        self.decode = DecodeTable()
        self.prefixes = Prefixes(1)
        self._busy = Fading(UTILISATION_MEMORY_S)
        self._accounted_s: float | None = None
        self._grow()

    def room(self, now_s: float) -> int:
        """Slots that may be given out now; none while somebody is to run there alone, or does."""
        if self.lone.is_kept or not self.is_ready or now_s < self.free_again_s:
            return 0
        return max(self.facts.slots - len(self.running), 0)  # more may run after it shrank

    def next_alone(self, now_s: float) -> Waiting | None:
        """Who is to run there alone, once nothing else runs."""
        if self.running or not self.lone.waiting or now_s < self.free_again_s:
            return None
        return self.lone.waiting[0] if self.is_ready and self.facts.slots else None

    def may_return(self, now_s: float) -> bool:
        """Ready, loaded for whoever waits, or gone for so short a time that it is worth waiting for."""
        if self.is_ready or self.facts.standby in LOADED_ON_DEMAND:
            return True
        return self.facts.standby != "failed" and now_s - self.lost_s < RETURN_GRACE_S

    def loads_for_s(self, now_s: float) -> float:
        """How long until it can take work: 0 when ready, else what is left of a load as long as those measured.

        Of one that is absent the load has yet to begin.
        """
        if self.is_ready:
            return 0.0
        load_s = self.facts.load_s or self.load_s
        return load_s if self.facts.standby == "absent" else max(0.0, self.lost_s + load_s - now_s)

    def announced(self, facts: TargetFacts, now_s: float) -> None:
        """It can take work. The time since it was lost, or began to load, is how long a load takes."""
        is_measured = not self.is_ready and self.facts.standby != "absent"
        if is_measured and self.lost_s and 0 < now_s - self.lost_s < RETURN_GRACE_S * 10:
            self.load_s += LOAD_GAIN * (now_s - self.lost_s - self.load_s)
        self.facts, self.is_ready, self.free_again_s = facts, True, now_s
        self._grow()

    def lost(self, facts: TargetFacts, now_s: float) -> None:
        """It cannot take work. What ran there is ended by its streams."""
        begins = facts.standby == "loading" != self.facts.standby
        if facts.pools:
            self.facts = facts
        if begins or self.is_ready or not self.lost_s:
            self.is_ready, self.lost_s = False, now_s
            self.prefixes.forget()
            self.resident = self.tenant = None

    def swap_cost_s(self, ticket: Ticket) -> float:
        """What it would cost to serve this ticket: 0 where the model is loaded and no other tenant was served."""
        if renewal_s := self.renewal_s(ticket):
            return renewal_s
        is_loaded = not self.facts.swaps or self.resident in (None, ticket.pool)
        return 0.0 if is_loaded else self.swap_s

    def renewal_s(self, ticket: Ticket) -> float:
        """How long it serves nobody when this ticket is given to it: 0 where no other tenant was served."""
        return self.load_s if self.tenant not in (None, ticket.tenant) else 0.0

    def stepped(self, step: Step) -> None:
        """Learn from a step. Only pure decode tells a token's time; a whole answer reported as one step does not."""
        if step.prefill_rows == 0 and 0 < step.decode_rows <= self.facts.slots and 0 < step.step_s < math.inf:
            self.decode.stepped(step.decode_rows, step.step_s)

    def swapped(self, load_s: float) -> None:
        """A request there spent so long on a load: what serving another pool costs."""
        if SHORTEST_SWAP_S < load_s < math.inf:
            self.swap_s += (load_s - self.swap_s) * (LOAD_GAIN if self.swap_s else 1.0)

    def account(self, now_s: float) -> None:
        """Count the slots in use up to now; called before each change."""
        if self._accounted_s is not None and now_s > self._accounted_s:
            self._busy.add(len(self.running) * (now_s - self._accounted_s), now_s)
        self._accounted_s = now_s

    def utilisation(self, now_s: float) -> float:
        """The share of its slots' time in use, over about the last minute."""
        self.account(now_s)
        return min(1.0, self._busy.rate_per_s(now_s) / self.facts.slots) if self.facts.slots else 0.0

    def _grow(self) -> None:
        blocks = max(1, self.facts.slots * self.facts.slot_tokens // BLOCK_TOKENS)
        self.prefixes.limit(blocks)


class Domain:
    """All targets that are joined by pools they share: work for one of them competes with work for the others."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = tuple(targets)
        self.pools = frozenset(pool for each in targets for pool in each.facts.pools)
        self.name = "/".join(min(self.pools)) if self.pools else ""
        self.standings = Standings()
        self._of = {pool: [each for each in targets if pool in each.facts.pools] for pool in self.pools}

    def slots(self) -> int:
        """Of all ready targets."""
        return sum(each.facts.slots for each in self.targets if each.is_ready)

    def expected_slots(self, now_s: float) -> int:
        """Of the ready ones, or where there is none of those that may come."""
        return self.slots() or sum(each.facts.slots for each in self.targets if each.may_return(now_s))

    def room(self, now_s: float) -> int:
        """Free slots."""
        return sum(each.room(now_s) for each in self.targets)

    def of(self, pool: PoolKey) -> list[Target]:
        """The targets that serve that pool, one of the domain's."""
        return self._of[pool]

    def slot_weight(self) -> float:
        """The mean cores or devices of a slot."""
        slots = sum(each.facts.slots for each in self.targets)
        return sum(each.facts.slots * each.facts.slot_weight for each in self.targets) / slots if slots else 1.0


def domains(targets: Iterable[Target]) -> list[Domain]:
    """The targets in groups that share no pool with each other."""
    groups: list[tuple[set[PoolKey], list[Target]]] = []
    for target in targets:
        pools = set(target.facts.pools)
        joined = [group for group in groups if group[0] & pools]
        groups = [group for group in groups if not group[0] & pools]
        members = [each for _, group in joined for each in group] + [target]
        groups.append((pools.union(*(known for known, _ in joined)), members))
    return [Domain(members) for _, members in groups]
