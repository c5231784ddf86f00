"""The buckets of rates, in memory: decided and charged without anything awaited in between.

Bounded: buckets that are as if never used are swept out when their number has doubled. A bucket in use is never
forgotten, which would hand out its limit again; beyond MAX_BUCKETS of those a request is refused instead.
"""

from msgspec import Struct

from gateway.clock import Clock
from policies.errors import PolicyUnavailable
from policies.limiting.limit_decision import (
    NS,
    RequestVerdict,
    Slots,
    TokenVerdict,
    decide_requests,
    decide_tokens,
    live_slots,
    settle_tokens,
    used_of,
)
from policies.limiting.limit_use import requests_use, tokens_use
from policies.limiting.limits import RateClaim, Used
from policies.standing import LimitUse, Standing

MAX_BUCKETS = 200_000
"""About 100 MB at the worst, when every one holds a full minute of slots of tokens; 20 MB of requests alone."""
FIRST_SWEEP = 1_000


class RateVerdict(Struct, frozen=True):
    """A claim with what was decided of it."""

    claim: RateClaim
    decided: RequestVerdict | TokenVerdict


class RateBuckets:
    """All rate limits of one process, on the monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tats_ns: dict[str, int] = {}
        self._slots: dict[str, Slots] = {}
        self._sweep_at = FIRST_SWEEP

    def second(self) -> int:
        """The second of the rate clock, for `Reservation.second`."""
        return self._clock.mono_ns() // NS

    def decide(self, claims: tuple[RateClaim, ...]) -> list[RateVerdict]:
        """What each claim would get now; nothing is charged. Raises PolicyUnavailable when there are too many."""
        self._sweep()
        now_ns = self._clock.mono_ns()
        verdicts = [RateVerdict(claim, self._decide(claim, now_ns)) for claim in claims]
        for verdict in verdicts:
            if verdict.decided.wait_s > 0:
                self._store(verdict)  # pulled in, nothing charged (rule 6 of the decision)
        return verdicts

    def charge(self, verdicts: list[RateVerdict], left_out: frozenset[str]) -> tuple[Standing, ...]:
        """Charge what was decided, without the names in `left_out`; what the enforced ones have left."""
        for verdict in verdicts:
            if verdict.claim.name not in left_out:
                self._store(verdict)
        return tuple(verdict.decided.standing for verdict in verdicts if not verdict.claim.report)

    def settle(self, claims: tuple[RateClaim, ...], used: Used, reserved_second: int) -> None:
        """Correct the tokens charged in `reserved_second`; requests stay."""
        for claim in claims:
            if claim.unit != "requests":
                self._slots[claim.name] = settle_tokens(
                    self._slots.get(claim.name, {}),
                    claim.cost,
                    used_of(claim.unit, used, claim.cost),
                    reserved_second=reserved_second,
                    second=self.second(),
                )

    def use(self, claim: RateClaim) -> LimitUse:
        """How much of the rate is in use now; nothing is charged."""
        now_ns = self._clock.mono_ns()
        if claim.unit == "requests":
            return requests_use(claim, self._tats_ns.get(claim.name, now_ns) - now_ns)
        return tokens_use(claim, self._slots.get(claim.name, {}), now_ns)

    def _decide(self, claim: RateClaim, now_ns: int) -> RequestVerdict | TokenVerdict:
        if claim.unit == "requests":
            return decide_requests(claim, self._tats_ns.get(claim.name), now_ns)
        return decide_tokens(claim, self._slots.get(claim.name, {}), now_ns)

    def _store(self, verdict: RateVerdict) -> None:
        name, decided = verdict.claim.name, verdict.decided
        if isinstance(decided, RequestVerdict):
            self._tats_ns[name] = decided.tat_ns
        else:
            self._slots[name] = decided.slots

    def _sweep(self) -> None:
        """Drop the buckets that are full again, when there are twice as many as after the last time."""
        if len(self._tats_ns) + len(self._slots) < self._sweep_at:
            return
        second = self.second()
        self._tats_ns = {name: tat_ns for name, tat_ns in self._tats_ns.items() if tat_ns > self._clock.mono_ns()}
        self._slots = {name: live for name, slots in self._slots.items() if (live := live_slots(slots, second))}
        left = len(self._tats_ns) + len(self._slots)
        if left >= MAX_BUCKETS:
            raise PolicyUnavailable("limit_buckets_full")
        self._sweep_at = min(max(FIRST_SWEEP, 2 * left), MAX_BUCKETS)
