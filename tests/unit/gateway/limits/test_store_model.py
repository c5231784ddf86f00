"""The store against an exact reference: every charge is kept by itself and every window counted anew."""

import asyncio
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.limits.budget_book import BudgetBook
from gateway.limits.memory_store import MemoryStore
from policies.errors import BeyondLimit, QuotaExceeded, RateLimited
from policies.limiting.limit_decision import period_end_s, period_key
from policies.limiting.limits import BudgetClaim, Claims, ConcurrencyClaim, RateClaim, Reservation, Used
from policies.limiting.rate_limit import Rate
from tests.fakes import NS, ManualClock

pytestmark = pytest.mark.slow

REQUESTS = {"r1": Rate(60, 3), "r2": Rate(7, 1)}
TOKENS = {"t1": 100, "t2": 250}
PLACES = {"c1": 1, "c2": 3}
BUDGETS: dict[str, Any] = {"d": (900, "day"), "m": (2500, "month")}


class Reference:
    """Every charge by itself. Amounts change when a reservation is settled."""

    def __init__(self) -> None:
        self.levels: dict[str, tuple[int, Fraction]] = {}
        self.tokens: dict[str, list[dict[str, int]]] = {name: [] for name in TOKENS}
        self.held: dict[str, int] = dict.fromkeys(PLACES, 0)
        self.budgets: dict[tuple[str, str], int] = {}

    def request_wait_s(self, name: str, now_ns: int) -> Fraction:
        """A leaking bucket in exact seconds of emission, the dual of GCRA."""
        over = self._level(name, now_ns) + self._cost(name) - REQUESTS[name].burst * self._cost(name)
        return max(over, Fraction(0))

    def add_request(self, name: str, now_ns: int) -> None:
        self.levels[name] = (now_ns, self._level(name, now_ns) + self._cost(name))

    def token_wait_s(self, name: str, cost: int, now_ns: int) -> Fraction | None:
        if cost > TOKENS[name]:
            return None
        moments = [now_ns, *sorted((each["second"] + 61) * NS for each in self.tokens[name])]
        for moment in moments:
            if moment >= now_ns and self._counted(name, moment) + cost <= TOKENS[name]:
                return Fraction(moment - now_ns, NS)
        return Fraction(moments[-1] - now_ns, NS)  # debts alone: they end with the last

    def budget_wait_s(self, name: str, cost: int, unix_s: int) -> Fraction | None:
        limit, period = BUDGETS[name]
        if cost > limit:
            return None
        fits = self.budgets.get((name, period_key(period, unix_s)), 0) + cost <= limit
        return Fraction(0) if fits else Fraction(int(period_end_s(period, unix_s)) - unix_s)

    def _counted(self, name: str, now_ns: int) -> int:
        return sum(each["amount"] for each in self.tokens[name] if (each["second"] + 61) * NS > now_ns)

    def _level(self, name: str, now_ns: int) -> Fraction:
        at_ns, level = self.levels.get(name, (now_ns, Fraction(0)))
        return max(level - Fraction(now_ns - at_ns, NS), Fraction(0))

    def _cost(self, name: str) -> Fraction:
        return Fraction(REQUESTS[name].interval_ns, NS)


class StoreMachine(RuleBasedStateMachine):
    """Whatever is asked in whatever order, the store answers as the reference does."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory()
        self.clock = ManualClock()
        self.reference = Reference()
        self.running: list[tuple[Reservation, list[dict[str, int]], list[tuple[str, str]]]] = []
        self.over: list[Reservation] = []
        self.store = self._open()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.store.close())
            self.loop.close()
            self.folder.cleanup()

    @rule(milliseconds=st.one_of(st.integers(1, 3_000), st.integers(1, 90_000), st.integers(1, 40 * 3_600_000)))
    def wait(self, milliseconds: int) -> None:
        self.clock.now_ns += milliseconds * 1_000_000

    @rule(names=st.sets(st.sampled_from(sorted(REQUESTS)), min_size=1))
    def take(self, names: set[str]) -> None:
        waits = [self.reference.request_wait_s(name, self.clock.now_ns) for name in names]
        claims = tuple(RateClaim(name, REQUESTS[name]) for name in names)
        if self._answered(self.store.take(claims), waits) is not None:
            for name in names:
                self.reference.add_request(name, self.clock.now_ns)

    @rule(
        requests=st.sets(st.sampled_from(sorted(REQUESTS)), max_size=1),
        tokens=st.dictionaries(st.sampled_from(sorted(TOKENS)), st.integers(0, 130)),
        places=st.sets(st.sampled_from(sorted(PLACES)), max_size=1),
        budgets=st.dictionaries(st.sampled_from(sorted(BUDGETS)), st.integers(0, 1000)),
    )
    def reserve(self, requests: set[str], tokens: dict[str, int], places: set[str], budgets: dict[str, int]) -> None:
        now_ns, unix_s = self.clock.now_ns, self.clock.unix_ns() // NS
        waits = [self.reference.request_wait_s(name, now_ns) for name in requests]
        waits += [self.reference.token_wait_s(name, cost, now_ns) for name, cost in tokens.items()]
        waits += [Fraction(self.reference.held[name] >= PLACES[name]) for name in places]
        waits += [self.reference.budget_wait_s(name, cost, unix_s) for name, cost in budgets.items()]
        rates = tuple(RateClaim(name, REQUESTS[name]) for name in requests)
        rates += tuple(
            RateClaim(name, Rate(TOKENS[name], TOKENS[name]), cost, unit="output_tokens")
            for name, cost in tokens.items()
        )
        claims = Claims(
            rates,
            tuple(ConcurrencyClaim(name, PLACES[name]) for name in places),
            tuple(BudgetClaim(name, BUDGETS[name][0], cost, BUDGETS[name][1]) for name, cost in budgets.items()),
        )
        reservation = self._answered(self.store.reserve(claims), waits)
        if reservation is not None:
            self._charge(reservation, unix_s)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), output_tokens=st.integers(0, 200))
    def settle(self, data: st.DataObject, output_tokens: int) -> None:
        reservation, charges, periods = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self._run(self.store.settle(reservation, Used(output_tokens=output_tokens)))
        self.over.append(reservation)
        for place in reservation.claims.concurrency:
            self.reference.held[place.name] -= 1
        tokens = [claim for claim in reservation.claims.rates if claim.unit != "requests"]
        for claim, charge in zip(tokens, charges, strict=True):
            charge["amount"] = min(claim.cost, output_tokens)
            if output_tokens > claim.cost:
                excess = {"second": self.clock.now_ns // NS, "amount": output_tokens - claim.cost}
                self.reference.tokens[claim.name].append(excess)
        for budget, period in zip(reservation.claims.budgets, periods, strict=True):
            self.reference.budgets[period] += output_tokens - budget.cost

    @precondition(lambda self: self.over)
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        self._run(self.store.settle(data.draw(st.sampled_from(self.over)), Used(output_tokens=1)))

    @rule()
    def restart(self) -> None:
        """Rates and places are new; budgets are as they were, what was not settled stays charged."""
        self._run(self.store.close())
        budgets = self.reference.budgets
        self.reference, self.running = Reference(), []
        self.reference.budgets = budgets
        self.store = self._open()

    @invariant()
    def budgets_agree(self) -> None:
        if hasattr(self, "store"):
            now_s = self.clock.unix_ns() / NS
            for (name, period), charged in self.reference.budgets.items():
                if period == period_key(BUDGETS[name][1], now_s):
                    assert self.store._budgets.charged(name, period) == charged

    def _open(self) -> MemoryStore:
        return MemoryStore(self.clock, BudgetBook.open(Path(self.folder.name) / "limits.db"))

    def _run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def _charge(self, reservation: Reservation, unix_s: int) -> None:
        charges = []
        for claim in reservation.claims.rates:
            if claim.unit == "requests":
                self.reference.add_request(claim.name, self.clock.now_ns)
            else:
                charge = {"second": self.clock.now_ns // NS, "amount": claim.cost}
                self.reference.tokens[claim.name].append(charge)
                charges.append(charge)
        for place in reservation.claims.concurrency:
            self.reference.held[place.name] += 1
        periods = [(budget.name, period_key(budget.period, unix_s)) for budget in reservation.claims.budgets]
        for budget, period in zip(reservation.claims.budgets, periods, strict=True):
            self.reference.budgets[period] = self.reference.budgets.get(period, 0) + budget.cost
        self.running.append((reservation, charges, periods))

    def _answered(self, coroutine: Any, waits: list[Fraction | None]) -> Any:
        """What was granted; None when refused. Both exactly when, and for as long as, the reference says."""
        expected = None if None in waits else max((wait for wait in waits if wait is not None), default=Fraction(0))
        refused: Exception | None = None
        granted = None
        try:
            granted = self._run(coroutine)
        except (BeyondLimit, RateLimited, QuotaExceeded) as error:
            refused = error
        if expected is None:
            assert isinstance(refused, BeyondLimit)
        elif expected:
            assert isinstance(refused, RateLimited | QuotaExceeded)
            assert abs(refused.retry_after_s - expected) < Fraction(1, 10**6)
        else:
            assert refused is None
        return granted


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_store = StoreMachine.TestCase
