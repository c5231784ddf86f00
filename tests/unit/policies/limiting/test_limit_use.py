"""How much of a limit is in use: the reading side of the rules, and never a charge."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.limiting.limit_decision import NS, decide_requests, decide_tokens
from policies.limiting.limit_use import (
    budget_use,
    charged_tokens_use,
    limit_name,
    places_use,
    requests_use,
    tokens_use,
)
from policies.limiting.limits import BudgetClaim, Claim, ConcurrencyClaim, Dimension, RateClaim, claims_of
from policies.limiting.rate_limit import Rate
from policies.policy import Limits

REQUESTS = RateClaim("requests:k", Rate(60, 5))
TOKENS = RateClaim("output_tokens:k", Rate(100, 100), 60, unit="output_tokens", whose="team", report=True)
NOW = 1_000 * NS


def test_a_bucket_that_was_never_used_is_free():
    for ahead in (0, -5 * NS):
        use = requests_use(REQUESTS, ahead)
        assert (use.used, use.most, use.figure, use.reset_s) == (0, 5, 60, 0.0)


def test_a_request_partly_paid_back_counts_whole():
    assert requests_use(REQUESTS, 1).used == 1
    assert requests_use(REQUESTS, NS).used == 1
    assert requests_use(REQUESTS, NS + 1).used == 2
    assert requests_use(REQUESTS, 99 * NS).used == 5


@given(count=st.integers(0, 8), rate=st.sampled_from([Rate(1, 1), Rate(7, 3), Rate(600, 60)]))
@settings(max_examples=50, deadline=None)
def test_the_use_is_what_was_let_through_at_once(count, rate):
    claim, tat_ns, taken = RateClaim("r", rate), None, 0
    for _ in range(count):
        verdict = decide_requests(claim, tat_ns, NOW)
        tat_ns, taken = verdict.tat_ns, taken + (verdict.wait_s == 0)
    use = requests_use(claim, (tat_ns or NOW) - NOW)
    assert use.used == taken
    assert taken == min(count, rate.burst)


def test_tokens_of_the_last_minute():
    slots = decide_tokens(TOKENS, {1: 5}, NOW).slots
    use = tokens_use(TOKENS, slots, NOW + 30 * NS)
    assert (use.used, use.most, use.figure, use.whose, use.report) == (60, 100, 100, "team", True)
    assert use.reset_s == pytest.approx(31.0)
    ended = tokens_use(TOKENS, slots, NOW + 61 * NS)
    assert (ended.used, ended.reset_s) == (0, 0.0)


def test_a_debt_is_more_than_the_limit():
    assert charged_tokens_use(TOKENS, 150, 999, NOW).used == 150


def test_places():
    claim = ConcurrencyClaim("concurrent:k", 2)
    assert (places_use(claim, 0).reset_s, places_use(claim, 2).reset_s) == (0.0, None)
    assert places_use(claim, 2).used == 2


def test_budgets_end_with_their_period():
    claim = BudgetClaim("day:k", 1000, 0, "day")
    use = budget_use(claim, 400, 86_400.0 + 3_600.0)
    assert (use.used, use.most, use.reset_s) == (400, 1000, 82_800.0)
    assert budget_use(claim, 0, 86_400.0).reset_s == 0.0


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        (REQUESTS, "requests_per_minute"),
        (TOKENS, "output_tokens_per_minute"),
        (RateClaim("p", Rate(1, 1), unit="prompt_tokens"), "prompt_tokens_per_minute"),
        (ConcurrencyClaim("c", 1), "concurrent_requests"),
        (BudgetClaim("d", 1, 0, "day"), "tokens_per_day"),
        (BudgetClaim("m", 1, 0, "month"), "tokens_per_month"),
    ],
)
def test_names_are_those_of_the_file(claim: Claim, name: str):
    assert limit_name(claim) == name


def test_every_bound_of_a_dimension_is_shown_and_costs_nothing():
    limits = Limits(
        requests_per_minute=60,
        concurrent_requests=3,
        prompt_tokens_per_minute=10,
        output_tokens_per_minute=20,
        tokens_per_day=30,
        tokens_per_month=40,
    )
    claims = claims_of(Dimension("team", "team:a", "team a", limits))
    assert [each.unit for each in claims.rates] == ["requests", "prompt_tokens", "output_tokens"]
    assert [each.cost for each in (*claims.rates[1:], *claims.budgets)] == [0, 0, 0, 0]
    assert len(claims.concurrency) == 1
    assert claims_of(Dimension("team", "team:a", "team a", Limits())).rates == ()
