"""What one of N gateways may admit on its own while the store they share is away.

Decides, for rates, whether a claim fits into this gateway's share of it. When a gateway counts on its own, what it does
about its leases and how it comes back stand in gateway/limits/fallback_store.py, with the argument for the bound.

Rules, with N the most gateways seen in the last hour:
 (1) Requests: GCRA at rate / N with burst / N, rounded down. The bucket is empty at `since_ns` and nothing fits before.
     A burst smaller than N cannot be divided: such a rate is not counted here, it is refused.
 (2) Tokens a minute: the sliding minute of `limit_decision` with limit / N, which counts as used up at `since_ns`.
 (3) Concurrency: limit / N of this gateway's own, at least 1.
 (4) Nothing is forgotten while this lasts; beyond MAX_TOUCHED names a new one is refused.
"""

from collections.abc import Iterator

from msgspec import Struct, structs

from policies.errors import PolicyUnavailable
from policies.limiting.limit_decision import NS, WINDOW_S, decide_tokens, settle_tokens, used_of
from policies.limiting.limits import ConcurrencyClaim, RateClaim, Used
from policies.limiting.rate_limit import Rate
from policies.standing import Standing

MAX_TOUCHED = 100_000
"""Some 50 MB at the worst."""


class ShareVerdict(Struct, frozen=True):
    """A claim with the seconds it has to wait (0: it fits) and where it would stand."""

    claim: RateClaim
    wait_s: float
    standing: Standing
    tat_ns: int = 0


class OwnShare:
    """The rates of one absence, by rules 1 to 4. `now_ns` and `since_ns` are one monotonic clock."""

    def __init__(self, gateways: int, since_ns: int) -> None:
        self._gateways = gateways
        self._since_ns = since_ns
        self._tats_ns: dict[str, int] = {}
        self._slots: dict[str, dict[int, int]] = {}
        self._touched: dict[str, RateClaim] = {}

    def decide(self, claim: RateClaim, now_ns: int) -> ShareVerdict:
        """What the claim would get. Raises PolicyUnavailable for what cannot be divided, and beyond MAX_TOUCHED."""
        if claim.name not in self._touched and len(self._touched) >= MAX_TOUCHED:
            raise PolicyUnavailable("limits_away_full")
        return self._requests(claim, now_ns) if claim.unit == "requests" else self._tokens(claim, now_ns)

    def charge(self, verdict: ShareVerdict, now_ns: int) -> None:
        """Take what was decided."""
        claim = verdict.claim
        self._touched[claim.name] = claim
        if claim.unit == "requests":
            self._tats_ns[claim.name] = verdict.tat_ns
            return
        slots = self._slots.setdefault(claim.name, {})
        second = now_ns // NS
        slots[second] = slots.get(second, 0) + claim.cost
        for ended in [each for each in slots if each <= second - WINDOW_S]:
            del slots[ended]

    def settle(self, claims: tuple[RateClaim, ...], used: Used, reserved_second: int, now_ns: int) -> None:
        """Correct the tokens that were charged here in `reserved_second`."""
        for claim in claims:
            if claim.name in self._slots:
                real = used_of(claim.unit, used, claim.cost)
                self._slots[claim.name] = settle_tokens(
                    self._slots[claim.name], claim.cost, real, reserved_second=reserved_second, second=now_ns // NS
                )

    def touched(self) -> Iterator[tuple[RateClaim, dict[int, int]]]:
        """Every rate that something was admitted under, with its slots of tokens."""
        for name, claim in self._touched.items():
            yield claim, self._slots.get(name, {})

    def places(self, claim: ConcurrencyClaim) -> int:
        """Rule 3."""
        return max(claim.limit // self._gateways, 1)

    def _requests(self, claim: RateClaim, now_ns: int) -> ShareVerdict:
        burst = claim.rate.burst // self._gateways
        if not burst:
            raise PolicyUnavailable("limits_away_small")
        cost_ns = claim.rate.interval_ns * self._gateways
        horizon_ns = burst * cost_ns
        tat_ns = self._tats_ns.get(claim.name, self._since_ns + horizon_ns)
        ahead_ns = max(tat_ns - now_ns, 0)
        wait_ns = max(ahead_ns + cost_ns - horizon_ns, 0)
        after_ns = ahead_ns if wait_ns else ahead_ns + cost_ns
        remaining = 0 if wait_ns else (horizon_ns - after_ns) // cost_ns
        standing = Standing(claim.unit, claim.whose, claim.rate.per_minute, remaining, after_ns / NS)
        return ShareVerdict(claim, wait_ns / NS, standing, now_ns + after_ns)

    def _tokens(self, claim: RateClaim, now_ns: int) -> ShareVerdict:
        limit = claim.rate.per_minute // self._gateways
        if claim.rate.per_minute >= claim.cost > limit:
            raise PolicyUnavailable("limits_away_small")
        slots = dict(self._slots.get(claim.name, {}))
        since_s = self._since_ns // NS
        slots[since_s] = slots.get(since_s, 0) + limit
        share = structs.replace(claim, rate=Rate(limit, limit))
        decided = decide_tokens(share, slots, now_ns)
        return ShareVerdict(claim, decided.wait_s, decided.standing)
