"""The limits' store of a single gateway: plain dictionaries, bounded, no clock of its own."""

from collections import OrderedDict

from policies.limits import (
    ConcurrencyClaim,
    RateClaim,
    Reservation,
    concurrency_refusal,
    rate_refusal,
)
from policies.rate_limit import Conforming, gcra

MAX_BUCKETS = 100_000
"""Keys beyond this forget the longest unused bucket; an unused bucket is full again anyway."""


class MemoryStore:
    """`policies.limits.Store` in memory."""

    def __init__(self) -> None:
        self._tats_ns: OrderedDict[str, int] = OrderedDict()
        self._running: dict[str, int] = {}
        self._held: dict[int, Reservation] = {}
        self._next_id = 1

    async def take(self, claims: tuple[RateClaim, ...], now_ns: int) -> None:
        """Charge all buckets, or raise RateLimited with nothing charged."""
        charged: dict[str, int] = {}
        for claim in claims:
            decision = gcra(claim.rate, self._tats_ns.get(claim.name), now_ns)
            if not isinstance(decision, Conforming):
                raise rate_refusal(claim, decision.retry_after_ns)
            charged[claim.name] = decision.tat_ns
        for name, tat_ns in charged.items():
            self._tats_ns[name] = tat_ns
            self._tats_ns.move_to_end(name)
        while len(self._tats_ns) > MAX_BUCKETS:
            self._tats_ns.popitem(last=False)

    async def reserve(self, claims: tuple[ConcurrencyClaim, ...]) -> Reservation:
        """Hold all claims or none."""
        for claim in claims:
            if self._running.get(claim.name, 0) >= claim.limit:
                raise concurrency_refusal(claim)
        for claim in claims:
            self._running[claim.name] = self._running.get(claim.name, 0) + 1
        reservation = Reservation(self._next_id, claims)
        self._next_id += 1
        self._held[reservation.id] = reservation
        return reservation

    async def settle(self, reservation: Reservation) -> None:
        """Give back what was held."""
        if self._held.pop(reservation.id, None) is None:
            return
        for claim in reservation.claims:
            left = self._running[claim.name] - 1
            if left:
                self._running[claim.name] = left
            else:
                del self._running[claim.name]
