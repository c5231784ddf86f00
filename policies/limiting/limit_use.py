"""How much of a limit is in use, for the people who look at it. Decides nothing and charges nothing.

Rules, each the reading side of a rule of `limit_decision`:
- Requests: what a full burst lacks, the request that is only partly paid back counted whole.
- Tokens a minute: what the sliding minute holds. Concurrency: what is held. Budgets: what the period was charged.
- More than the limit can be in use: a settling beyond its reservation, a smaller limit since.
"""

from policies.limiting.limit_decision import NS, WINDOW_S, Slots, live_slots, period_end_s
from policies.limiting.limits import BudgetClaim, Claim, ConcurrencyClaim, RateClaim
from policies.standing import LimitName, LimitUse

RATES: dict[str, LimitName] = {
    "requests": "requests_per_minute",
    "prompt_tokens": "prompt_tokens_per_minute",
    "output_tokens": "output_tokens_per_minute",
}
BUDGETS: dict[str, LimitName] = {"day": "tokens_per_day", "month": "tokens_per_month"}


def requests_use(claim: RateClaim, ahead_ns: int) -> LimitUse:
    """Of a request rate whose bucket's TAT is `ahead_ns` (nanoseconds, below 0: full) beyond now."""
    burst, interval_ns = claim.rate.burst, claim.rate.interval_ns
    ahead_ns = min(max(ahead_ns, 0), burst * interval_ns)
    return _use(claim, claim.rate.per_minute, -(-ahead_ns // interval_ns), burst, ahead_ns / NS)


def tokens_use(claim: RateClaim, slots: Slots, now_ns: int) -> LimitUse:
    """Of tokens a minute, from the seconds they were charged in; `now_ns` is the clock of `slots`."""
    live = live_slots(slots, now_ns // NS)
    return charged_tokens_use(claim, sum(live.values()), max(live, default=None), now_ns)


def charged_tokens_use(claim: RateClaim, charged: int, last: int | None, now_ns: int) -> LimitUse:
    """Of tokens a minute: `charged` in all that count, the last of them in second `last` (None: none count)."""
    per_minute = claim.rate.per_minute
    return _use(claim, per_minute, charged, per_minute, 0.0 if last is None else last + WINDOW_S - now_ns / NS)


def places_use(claim: ConcurrencyClaim, held: int) -> LimitUse:
    """Of concurrent requests."""
    return _use(claim, claim.limit, held, claim.limit, None if held else 0.0)


def budget_use(claim: BudgetClaim, charged: int, unix_s: float) -> LimitUse:
    """Of a budget in the period of `unix_s`."""
    reset_s = period_end_s(claim.period, unix_s) - unix_s if charged else 0.0
    return _use(claim, claim.limit, charged, claim.limit, reset_s)


def limit_name(claim: Claim) -> LimitName:
    """What policy.yaml calls the limit of a claim."""
    if isinstance(claim, RateClaim):
        return RATES[claim.unit]
    return BUDGETS[claim.period] if isinstance(claim, BudgetClaim) else "concurrent_requests"


def _use(claim: Claim, figure: int, used: int, most: int, reset_s: float | None) -> LimitUse:
    return LimitUse(limit_name(claim), claim.whose, figure, used, most, reset_s, claim.report)
