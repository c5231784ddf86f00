"""A claim as the script's four fields, and the script's three figures as the verdict that memory would give."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.limits.redis_link import Part, RedisAway
from policies.limiting.limit_decision import NEVER, NS, WINDOW_S, period_end_s
from policies.limiting.limit_use import budget_use, charged_tokens_use, places_use, requests_use
from policies.limiting.limits import BudgetClaim, Claim, ConcurrencyClaim, RateClaim
from policies.standing import LimitUse, Standing

US = 1_000_000
NEVER_FITS = -1
KIND_OF_PERIOD = {"day": "d", "month": "m"}

Figures = tuple[int, int, int]


class Verdict(Struct, frozen=True):
    """What the script decided at `now_us` of the server's clock."""

    now_us: int
    waits: tuple[tuple[Claim, float], ...]
    standings: tuple[Standing, ...]
    charged: tuple[tuple[BudgetClaim, int], ...]


def row_of(claim: Claim) -> tuple[Part, ...]:
    """One claim as the script's four fields."""
    if isinstance(claim, ConcurrencyClaim):
        return "c", int(claim.report), claim.limit, 0
    if isinstance(claim, BudgetClaim):
        return KIND_OF_PERIOD[claim.period], int(claim.report), claim.limit, claim.cost
    if claim.unit == "requests":
        return "r", int(claim.report), claim.rate.interval_ns, claim.rate.burst
    return "t", int(claim.report), claim.rate.per_minute, claim.cost


def read_verdict(claims: Sequence[Claim], reply: list[Any]) -> Verdict:
    now_us, flat = int(reply[1]), [int(each) for each in reply[2:]]
    figures: list[Figures] = [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), 3)]
    paired = list(zip(claims, figures, strict=True))
    waits = tuple((claim, _wait_s(claim, each[0], now_us)) for claim, each in paired)
    rates = [(claim, each) for claim, each in paired if isinstance(claim, RateClaim) and not claim.report]
    standings = tuple(_standing(claim, each, now_us) for claim, each in rates)
    charged = tuple((claim, each[1]) for claim, each in paired if isinstance(claim, BudgetClaim))
    return Verdict(now_us, waits, standings, charged)


def read_use(claims: Sequence[Claim], reply: list[Any]) -> tuple[LimitUse, ...]:
    """The script's two figures a claim as the use that memory would tell. Raises RedisAway when the store lost all."""
    if reply[0] != b"used":
        raise RedisAway("data_lost")
    now_us, flat = int(reply[1]), [int(each) for each in reply[2:]]
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]
    return tuple(_use(claim, pair, now_us) for claim, pair in zip(claims, pairs, strict=True))


def _use(claim: Claim, figures: tuple[int, int], now_us: int) -> LimitUse:
    one, last = figures
    if isinstance(claim, ConcurrencyClaim):
        return places_use(claim, one)
    if isinstance(claim, BudgetClaim):
        return budget_use(claim, one, now_us // US)
    if claim.unit == "requests":
        return requests_use(claim, one)
    return charged_tokens_use(claim, one, last if last >= 0 else None, now_us * 1000)


def _wait_s(claim: Claim, wait_ns: int, now_us: int) -> float:
    if wait_ns == NEVER_FITS:
        return NEVER
    if wait_ns and isinstance(claim, BudgetClaim):
        return period_end_s(claim.period, now_us // US) - now_us // US
    return wait_ns / NS


def _standing(claim: RateClaim, figures: Figures, now_us: int) -> Standing:
    """As `limit_decision` makes it: of a bucket its fullness, of slots what is charged and the last second."""
    wait_ns, one, last = figures
    if claim.unit == "requests":
        horizon_ns = claim.rate.burst * claim.rate.interval_ns
        remaining = 0 if wait_ns else (horizon_ns - one) // claim.rate.interval_ns
        return Standing(claim.unit, claim.whose, claim.rate.per_minute, remaining, one / NS)
    reset_s = (last + WINDOW_S) - now_us * 1000 / NS if last >= 0 else 0.0
    return Standing(claim.unit, claim.whose, claim.rate.per_minute, max(claim.rate.per_minute - one, 0), reset_s)
