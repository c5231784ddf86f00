"""One team's account: what waits, what runs, and the counter by which its turn is chosen.

The virtual counter is the slot-seconds charged to the team over its weight: charged with the estimate when a request
is dispatched, settled with what it really cost at its end (VTC, Sheng et al., OSDI 2024, algorithm 1, with costs in
slot-seconds; charging at dispatch and settling as Kubernetes' API Priority and Fairness does). All keys of a team
share one account, so splitting work over many keys gains nothing.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterator

from policies.admitting.bookings import Bookings
from policies.admitting.effects import Forecast
from policies.admitting.fading import Fading
from policies.admitting.ticket import PoolKey, Ticket
from policies.admitting.tuning import Tuning
from policies.admitting.wait_quantiles import WaitQuantiles

SHARE_MEMORY_S = 600.0
NO_FORECAST = Forecast()


LineKey = tuple[PoolKey, str]
"""A pool and a band: a request may ask for a lower band than its team's."""


class Waiting:
    """A ticket that waits: its estimated cost in slot-seconds, what it was told, and when it must be running.

    `asked_s` is when its caller first asked: one that was told a time and kept it stands in line by that. `since_s` is
    the queue's moment when it was let in.
    """

    __slots__ = (
        "asked_s",
        "cost_s",
        "deadline_s",
        "forecast",
        "guaranteed_band",
        "order",
        "passed_over_s",
        "since_s",
        "ticket",
        "uncached_tokens",
    )

    def __init__(
        self,
        ticket: Ticket,
        cost_s: float = 0.0,
        uncached_tokens: float = 0.0,
        forecast: Forecast = NO_FORECAST,
        asked_s: float | None = None,
    ) -> None:
        self.ticket = ticket
        self.cost_s = cost_s
        self.uncached_tokens = uncached_tokens
        self.forecast = forecast
        self.deadline_s = deadline_of(ticket)
        self.guaranteed_band = ticket.guaranteed_band
        self.asked_s = ticket.arrived_s if asked_s is None else asked_s
        self.since_s = -math.inf
        self.passed_over_s: float | None = None
        # Earliest deadline first, counted from when the caller first asked; then as they came.
        self.order = (self.deadline_s - (ticket.arrived_s - self.asked_s), ticket.arrived_s, ticket.id)


def deadline_of(ticket: Ticket) -> float:
    """The moment by which the ticket must be running at the latest, as far as its terms are enforced."""
    promised = math.inf
    if ticket.promise_s is not None and ticket.enforced:
        promised = ticket.arrived_s + ticket.promise_s
    return min(promised, math.inf if ticket.expires_s is None else ticket.expires_s)


class Line:
    """One team's waiters of one pool, earliest deadline first."""

    def __init__(self) -> None:
        self._order: list[tuple[float, float, int]] = []
        self._by_id: dict[int, Waiting] = {}
        self.cost_s = 0.0

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Waiting]:
        return iter([self._by_id[order[2]] for order in self._order])

    def add(self, waiting: Waiting) -> None:
        """To its place by deadline."""
        insort(self._order, waiting.order)
        self._by_id[waiting.ticket.id] = waiting
        self.cost_s += waiting.cost_s

    def remove(self, waiting: Waiting) -> None:
        """It left, was refused, or runs."""
        del self._order[bisect_left(self._order, waiting.order)]
        del self._by_id[waiting.ticket.id]
        self.cost_s = self.cost_s - waiting.cost_s if self._order else 0.0

    def head(self) -> Waiting:
        """Whose turn it is."""
        return self._by_id[self._order[0][2]]

    def before(self, order: tuple[float, float, int]) -> tuple[int, float]:
        """How many wait before that place, and their cost in slot-seconds."""
        place = bisect_left(self._order, order)
        if place == len(self._order):
            return place, self.cost_s
        return place, sum(self._by_id[each[2]].cost_s for each in self._order[:place])


class TeamAccount:
    """See the head of the module. `lines` holds only pools and bands where somebody waits."""

    def __init__(self, name: str, tuning: Tuning) -> None:
        self.name = name
        self.weight = 1.0
        self.band = ""
        self.counter = 0.0
        self.lines: dict[LineKey, Line] = {}
        self.running: dict[LineKey, int] = {}
        self.bookings = Bookings(tuning.booking_lapse_s, tuning.booking_early_s)
        self.served = Fading(SHARE_MEMORY_S)
        self.actual_wait = Fading(SHARE_MEMORY_S)
        self.covered = Fading(SHARE_MEMORY_S)
        self.ratio = Fading(SHARE_MEMORY_S)
        self._demand: dict[PoolKey, Fading] = {}
        self._quantiles: dict[str, WaitQuantiles] = {}
        self._demand_memory_s = tuning.demand_s

    def is_active(self) -> bool:
        """True while it waits or runs anywhere: only then do its counter's moves mean anything."""
        return bool(self.lines or self.running)

    def is_in(self, band: str, pools: frozenset[PoolKey]) -> bool:
        """True while it waits or runs in these pools in that band."""
        return self.waits_in(band, pools) or any(of == band and pool in pools for pool, of in self.running)

    def waits_in(self, band: str, pools: frozenset[PoolKey]) -> bool:
        """True while it waits in these pools in that band."""
        for pool, waits_for in self.lines:  # noqa: SIM110 (asked for every team at each arrival: a third of the time)
            if waits_for == band and pool in pools:
                return True
        return False

    def earns_in(self, band: str, pools: frozenset[PoolKey]) -> bool:
        """True while something waits in these pools that has a part in that band's guarantee."""
        lines = (line for (pool, _), line in self.lines.items() if pool in pools)
        return any(line.head().ticket.guaranteed_band == band for line in lines)

    def waiting(self) -> int:
        """How many wait, in all pools."""
        return sum(map(len, self.lines.values()))

    def backlog_s(self, band: str, pools: frozenset[PoolKey]) -> float:
        """Slot-seconds that wait in these pools in that band."""
        backlog_s = 0.0
        for (pool, waits_for), line in self.lines.items():
            if waits_for == band and pool in pools:
                backlog_s += line.cost_s
        return backlog_s

    def demand(self, pools: frozenset[PoolKey], now_s: float) -> float:
        """Slots that its recent requests to these pools would keep busy: slot-seconds asked for, a second."""
        slots = 0.0
        for pool, asked in self._demand.items():
            if pool in pools:
                slots += asked.rate_per_s(now_s)
        return slots

    def asked(self, pool: PoolKey, cost_s: float, now_s: float) -> None:
        """A request was let in."""
        self._demand.setdefault(pool, Fading(self._demand_memory_s)).add(cost_s, now_s)

    def quantiles(self, pool: PoolKey) -> WaitQuantiles:
        """How its waits for that model compare with their predictions."""
        return self._quantiles.get(pool[0], _UNKNOWN)

    def line_of(self, ticket: Ticket) -> Line | None:
        """The line that the ticket would join, if anybody waits there."""
        return self.lines.get((ticket.pool, ticket.band))

    def add(self, waiting: Waiting) -> None:
        """Put it into its line."""
        self.lines.setdefault((waiting.ticket.pool, waiting.ticket.band), Line()).add(waiting)

    def remove(self, waiting: Waiting) -> None:
        """Take it out of its line."""
        key = (waiting.ticket.pool, waiting.ticket.band)
        self.lines[key].remove(waiting)
        if not self.lines[key]:
            del self.lines[key]

    def started(self, ticket: Ticket) -> None:
        """One more runs."""
        key = (ticket.pool, ticket.band)
        self.running[key] = self.running.get(key, 0) + 1

    def stopped(self, ticket: Ticket) -> None:
        """One fewer runs."""
        key = (ticket.pool, ticket.band)
        self.running[key] -= 1
        if not self.running[key]:
            del self.running[key]

    def charge(self, slot_seconds: float, now_s: float) -> None:
        """Add to the counter; below zero settles what was charged too much."""
        self.counter += slot_seconds / self.weight
        self.served.add(slot_seconds, now_s)

    def learn_wait(self, waiting: Waiting, actual_s: float, quantile: float, now_s: float) -> None:
        """What was predicted for `waiting` has become known, or is known to be longer."""
        forecast = waiting.forecast
        if forecast.raw_s <= 0:
            return
        self._quantiles.setdefault(waiting.ticket.model, WaitQuantiles()).learn(forecast.raw_s, actual_s, quantile)
        self.actual_wait.add(actual_s, now_s)
        self.covered.add(float(actual_s <= forecast.likely_s), now_s)
        self.ratio.add(actual_s / forecast.wait_s, now_s)


_UNKNOWN = WaitQuantiles()
