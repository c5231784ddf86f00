"""The limits' store of a single gateway: rates and concurrency in memory, budgets in the `BudgetBook`.

Follows `policies.limiting.limit_decision`; what is here is where the states lie. Nothing awaits between a decision
and its charge, so two requests cannot both take the last place. Rates and concurrency end with the process, which
is right: who ran is gone, and no bucket remembers anything for longer than a day.
"""

import itertools
import secrets
from collections.abc import Iterable

from gateway.clock import Clock
from gateway.limits.budget_book import BudgetBook
from gateway.limits.rate_buckets import RateBuckets
from policies.limiting.limit_decision import (
    NS,
    charged_claims,
    conclude,
    decide_budget,
    decide_concurrency,
    period_end_s,
    period_key,
    settle_budget,
)
from policies.limiting.limit_use import budget_use, places_use
from policies.limiting.limits import BudgetClaim, Claim, Claims, ConcurrencyClaim, RateClaim, Reservation, Taken, Used
from policies.standing import LimitUse


class MemoryStore:
    """`policies.limiting.limits.Store` in memory, with budgets on disk."""

    def __init__(self, clock: Clock, budgets: BudgetBook) -> None:
        self._clock = clock
        self._budgets = budgets
        self._rates = RateBuckets(clock)
        self._running: dict[str, int] = {}
        self._held: set[str] = set()
        # Not to be guessed is no matter here; to be unique over restarts is.
        self._ids = map((secrets.token_hex(8) + "-{}").format, itertools.count())

    async def take(self, claims: tuple[RateClaim, ...]) -> Taken:
        """Charge all rates, or raise with nothing charged."""
        verdicts = self._rates.decide(claims)
        left_out = conclude((each.claim, each.decided.wait_s) for each in verdicts)
        return Taken(_reasons(claims, left_out), self._rates.charge(verdicts, left_out))

    async def reserve(self, claims: Claims) -> Reservation:
        """Charge and hold all claims, or none; budgets are on disk before this returns."""
        reservation = self._reserve(claims, self._clock.unix_ns() // NS)
        if reservation.claims.budgets:
            try:
                await self._budgets.durable()
            except BaseException:  # also when cancelled: the caller has nothing to settle
                self._settle(reservation, Used())
                raise
        return reservation

    async def settle(self, reservation: Reservation, used: Used) -> None:
        """End what was held and correct what was charged, once."""
        self._settle(reservation, used)

    async def use(self, claims: Claims) -> tuple[LimitUse, ...]:
        """How much of each is in use now, in the order rates, concurrency, budgets; nothing is charged."""
        unix_s = self._clock.unix_ns() // NS
        return (
            *map(self._rates.use, claims.rates),
            *(places_use(claim, self._running.get(claim.name, 0)) for claim in claims.concurrency),
            *(budget_use(claim, self._charged(claim, unix_s), unix_s) for claim in claims.budgets),
        )

    async def close(self) -> None:
        """Write what is owed to the budgets' file and close it."""
        await self._budgets.close()

    def _reserve(self, claims: Claims, unix_s: int) -> Reservation:
        verdicts = self._rates.decide(claims.rates)
        waits: list[tuple[Claim, float]] = [(each.claim, each.decided.wait_s) for each in verdicts]
        waits += [(claim, decide_concurrency(claim, self._running.get(claim.name, 0))) for claim in claims.concurrency]
        waits += [(claim, self._budget_wait_s(claim, unix_s)) for claim in claims.budgets]
        left_out = conclude(waits)
        held = charged_claims(claims, left_out)
        self._charge_budgets(held.budgets, unix_s)  # first, since a full book refuses
        for place in held.concurrency:
            self._running[place.name] = self._running.get(place.name, 0) + 1
        standings = self._rates.charge(verdicts, left_out)
        told = _reasons((claim for claim, _ in waits), left_out)
        reservation = Reservation(next(self._ids), held, self._rates.second(), unix_s, told, standings)
        self._held.add(reservation.id)
        return reservation

    def _settle(self, reservation: Reservation, used: Used) -> None:
        if reservation.id not in self._held:
            return
        self._held.remove(reservation.id)
        for place in reservation.claims.concurrency:
            self._let_go(place)
        self._rates.settle(reservation.claims.rates, used, reservation.second)
        self._settle_budgets(reservation, used.prompt_tokens + used.output_tokens)

    def _let_go(self, claim: ConcurrencyClaim) -> None:
        left = self._running[claim.name] - 1
        if left:
            self._running[claim.name] = left
        else:
            del self._running[claim.name]

    def _budget_wait_s(self, claim: BudgetClaim, unix_s: int) -> float:
        return decide_budget(claim, self._charged(claim, unix_s), unix_s).wait_s

    def _charge_budgets(self, claims: tuple[BudgetClaim, ...], unix_s: int) -> None:
        if not claims:
            return
        self._budgets.prune(unix_s, self._clock.mono_ns() / NS)
        self._budgets.require_room((claim.name, period_key(claim.period, unix_s)) for claim in claims)
        for claim in claims:
            self._set_charged(claim, unix_s, self._charged(claim, unix_s) + claim.cost)

    def _settle_budgets(self, reservation: Reservation, used: int) -> None:
        for claim in reservation.claims.budgets:
            charged = self._charged(claim, reservation.unix_s)
            self._set_charged(claim, reservation.unix_s, settle_budget(charged, claim.cost, used))
        self._budgets.write_later()

    def _charged(self, claim: BudgetClaim, unix_s: int) -> int:
        """What the period that `unix_s` lies in has taken."""
        return self._budgets.charged(claim.name, period_key(claim.period, unix_s))

    def _set_charged(self, claim: BudgetClaim, unix_s: int, charged: int) -> None:
        period = period_key(claim.period, unix_s)
        self._budgets.charge(claim.name, period, charged, period_end_s(claim.period, unix_s))


def _reasons(claims: Iterable[Claim], left_out: frozenset[str]) -> tuple[str, ...]:
    return tuple(claim.reason for claim in claims if claim.name in left_out)
