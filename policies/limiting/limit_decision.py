"""Limits, decided: does a claim fit, what is the state after it, and when will it fit if it does not?

Pure; the state is an argument and a result. The memory store calls these functions, the shared store's
script mirrors them, and both answer the same sequences alike. Which claims there are stands in `limits.py`.

Rules:
 (1) Requests: GCRA (`rate_limit.py`), one number a bucket. A request once charged stays charged.
 (2) Tokens a minute: a sliding minute in slots of one second. `slots` maps a second of the store's clock to the
     tokens charged in it. A slot counts until WINDOW_S = 61 s after its beginning, so every charge counts for at
     least 60 s: in no 60 s are more than `per_minute` tokens charged, hence admitted(t, t + W) <= per_minute *
     (1 + W / 60 s) for any schedule. GCRA is not used here because it cannot give back: a refund of what
     another request's idle time has already drained would let the bound be exceeded.
 (3) Settling changes the slot of the reservation itself: down by what was not used, never below nothing; it is as
     if only what was used had been reserved. What was used beyond the reservation (a prompt that an upstream could
     only estimate) is charged in the second of the settling, even above the limit: a debt, forgotten after WINDOW_S.
 (4) Concurrency: fewer than `limit` reservations are held.
 (5) Budgets: charged + cost <= limit in the calendar day or month, UTC. Settling corrects the period that was
     charged, never below nothing.
 (6) Time: a slot later than now (the clock was set back) counts as charged now, a TAT too far ahead is pulled in:
     a clock that jumps locks nobody out for longer than a full bucket does. A clock that jumps forward frees. For
     this the state after is stored also when a claim does not fit: pulled in, with nothing charged. Else it would
     still lie ahead at the next try.
 (7) All or none. All claims are decided; if one that enforces has no room nothing is charged, and the refusal told is
     the one with the longest wait, the first of them in the order rates, concurrency, budgets: who comes back then
     finds room at all of them. A `report` claim without room is not charged, only told.
 (8) What is larger than the limit itself (`cost` above a minute's worth or a whole budget) never fits: BeyondLimit.
"""

import functools
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from policies.errors import BeyondLimit, QuotaExceeded, RateLimited
from policies.limiting.limits import BudgetClaim, Claim, Claims, ConcurrencyClaim, Period, RateClaim, Used
from policies.limiting.rate_limit import Conforming, gcra
from policies.standing import Standing, Unit

NS = 1_000_000_000
DAY_S = 86400
WINDOW_S = 61
"""Seconds for which a slot counts: sixty, and the one it was filled in."""
RETRY_CONCURRENCY_S = 1.0
"""A running request's end cannot be foreseen here; one second is the least a client should wait."""
NEVER = math.inf
"""The wait for what will never fit."""

Slots = Mapping[int, int]


class RequestVerdict(Struct, frozen=True):
    """`wait_s` is 0 when the request fits; `tat_ns` is the state after, to be stored in either case (rule 6)."""

    wait_s: float
    tat_ns: int
    standing: Standing


class TokenVerdict(Struct, frozen=True):
    """`wait_s` is 0 when the tokens fit, NEVER when they never will; `slots` is the state after (rule 6)."""

    wait_s: float
    slots: Slots
    standing: Standing


class BudgetVerdict(Struct, frozen=True):
    """`wait_s` is 0 when the tokens fit, NEVER when they never will; `charged` is the state after."""

    wait_s: float
    charged: int


def decide_requests(claim: RateClaim, tat_ns: int | None, now_ns: int) -> RequestVerdict:
    """Rule 1 for one request; `tat_ns` None is a bucket never used."""
    interval_ns = claim.rate.interval_ns
    horizon_ns = claim.rate.burst * interval_ns
    decision = gcra(claim.rate, tat_ns, now_ns)
    fits = isinstance(decision, Conforming)
    new_ns = decision.tat_ns if isinstance(decision, Conforming) else min(tat_ns or 0, now_ns + horizon_ns)
    wait_ns = 0 if isinstance(decision, Conforming) else decision.retry_after_ns
    ahead_ns = max(new_ns - now_ns, 0)
    remaining = (horizon_ns - ahead_ns) // interval_ns if fits else 0
    return RequestVerdict(
        wait_ns / NS,
        new_ns,
        Standing(claim.unit, claim.whose, claim.rate.per_minute, remaining, ahead_ns / NS),
    )


def decide_tokens(claim: RateClaim, slots: Slots, now_ns: int) -> TokenVerdict:
    """Rules 2 and 8 for `claim.cost` tokens. The slots that come back hold only what still counts."""
    second, limit = now_ns // NS, claim.rate.per_minute
    counting = live_slots(slots, second)
    charged = sum(counting.values())
    wait_s = _token_wait_s(claim, counting, now_ns)
    if wait_s == 0:
        counting[second] = counting.get(second, 0) + claim.cost
        charged += claim.cost
    reset_s = max(((each + WINDOW_S) - now_ns / NS for each in counting), default=0.0)
    return TokenVerdict(wait_s, counting, Standing(claim.unit, claim.whose, limit, max(limit - charged, 0), reset_s))


def _token_wait_s(claim: RateClaim, counting: Slots, now_ns: int) -> float:
    """Seconds until enough slots have ended: exact, and true whatever is settled meanwhile."""
    if claim.cost > claim.rate.per_minute:
        return NEVER
    over = sum(counting.values()) + claim.cost - claim.rate.per_minute
    wait_s = 0.0
    for second in sorted(counting):
        if over <= 0:
            break
        over -= counting[second]
        wait_s = ((second + WINDOW_S) * NS - now_ns) / NS
    return wait_s


def live_slots(slots: Slots, second: int) -> dict[int, int]:
    """The slots that count at `second`; ended ones are left out, later ones moved into it (rule 6)."""
    live: dict[int, int] = {}
    for each, tokens in slots.items():
        if each > second - WINDOW_S and tokens > 0:
            live[min(each, second)] = live.get(min(each, second), 0) + tokens
    return live


def settle_tokens(slots: Slots, reserved: int, used: int, *, reserved_second: int, second: int) -> dict[int, int]:
    """Rule 3 at `second` for a reservation made in `reserved_second`."""
    live = live_slots(slots, second)
    if used > reserved:
        live[second] = live.get(second, 0) + used - reserved
        return live
    place = min(reserved_second, second)
    live[place] = max(live.get(place, 0) - (reserved - used), 0)
    return {each: tokens for each, tokens in live.items() if tokens}


def decide_concurrency(claim: ConcurrencyClaim, held: int) -> float:
    """Rule 4: 0, or the seconds to wait; `held` reservations are not settled yet."""
    return 0.0 if held < claim.limit else RETRY_CONCURRENCY_S


def decide_budget(claim: BudgetClaim, charged: int, unix_s: float) -> BudgetVerdict:
    """Rules 5 and 8; `charged` is what the period of `unix_s` has taken so far."""
    if claim.cost > claim.limit:
        return BudgetVerdict(NEVER, charged)
    if charged + claim.cost > claim.limit:
        return BudgetVerdict(period_end_s(claim.period, unix_s) - unix_s, charged)
    return BudgetVerdict(0.0, charged + claim.cost)


def settle_budget(charged: int, reserved: int, used: int) -> int:
    """Rule 5: the period's new charge."""
    return max(charged - reserved + used, 0)


def period_key(period: Period, unix_s: float) -> str:
    """The calendar day (`2026-11-22`) or month (`2026-11`) of `unix_s`, UTC."""
    return _calendar(period, int(unix_s // DAY_S))[0]


def period_end_s(period: Period, unix_s: float) -> float:
    """When the period of `unix_s` ends and its successor begins, in Unix seconds."""
    return _calendar(period, int(unix_s // DAY_S))[1]


@functools.lru_cache(64)
def _calendar(period: Period, day: int) -> tuple[str, float]:
    """The key and the end of the period that the `day` since 1970 lies in. Few days are asked for, and often."""
    begin = datetime.fromtimestamp(day * DAY_S, UTC)
    if period == "day":
        return begin.strftime("%Y-%m-%d"), (begin + timedelta(days=1)).timestamp()
    return begin.strftime("%Y-%m"), (begin.replace(day=1) + timedelta(days=32)).replace(day=1).timestamp()


def used_of(unit: Unit, used: Used, reserved: int) -> int:
    """How much of a rate claim was used: requests are never given back (rule 1)."""
    if unit == "requests":
        return reserved
    return used.prompt_tokens if unit == "prompt_tokens" else used.output_tokens


def conclude(waits: Iterable[tuple[Claim, float]]) -> frozenset[str]:
    """Rule 7: the names of `report` claims that must not be charged, or the refusal to tell, raised.

    `waits` are all claims of the call, in order, with what was decided of each.
    """
    short = [(claim, wait_s) for claim, wait_s in waits if wait_s > 0]
    refusing = [(claim, wait_s) for claim, wait_s in short if not claim.report]
    if refusing:
        raise refusal(*max(refusing, key=lambda each: each[1]))  # the first of the largest
    return frozenset(claim.name for claim, _ in short)


def refusal(claim: Claim, wait_s: float) -> RateLimited | QuotaExceeded | BeyondLimit:
    """The error for a claim that has to wait `wait_s`, or for good (NEVER)."""
    if wait_s == NEVER:
        return BeyondLimit(f"beyond_{claim.reason}", limit=claim.limit_text)
    if isinstance(claim, BudgetClaim):
        return QuotaExceeded(claim.reason, limit=claim.limit_text, retry_after_s=wait_s)
    standing = (
        Standing(claim.unit, claim.whose, claim.rate.per_minute, 0, wait_s) if isinstance(claim, RateClaim) else None
    )
    return RateLimited(claim.reason, limit=claim.limit_text, retry_after_s=wait_s, standing=standing)


def charged_claims(claims: Claims, left_out: frozenset[str]) -> Claims:
    """`claims` without the names in `left_out`: what a reservation holds."""
    return Claims(
        tuple(each for each in claims.rates if each.name not in left_out),
        tuple(each for each in claims.concurrency if each.name not in left_out),
        tuple(each for each in claims.budgets if each.name not in left_out),
    )
