"""Limits, decided: what fits, what is left, and when the rest will fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import BeyondLimit, QuotaExceeded, RateLimited
from policies.limiting.limit_decision import (
    NEVER,
    NS,
    WINDOW_S,
    charged_claims,
    conclude,
    decide_budget,
    decide_concurrency,
    decide_requests,
    decide_tokens,
    live_slots,
    period_end_s,
    period_key,
    settle_budget,
    settle_tokens,
    used_of,
)
from policies.limiting.limits import BudgetClaim, Claims, ConcurrencyClaim, RateClaim, Used
from policies.limiting.rate_limit import Rate
from policies.standing import Standing

NOON = 1_763_812_800
"""2025-11-22T12:00:00Z"""
REQUESTS = RateClaim("r", Rate(60, 2))
PLACE = ConcurrencyClaim("c", 2)
DAY = BudgetClaim("d", 100, 30, "day")


def tokens(cost: int, limit: int = 100, *, report: bool = False) -> RateClaim:
    return RateClaim("t", Rate(limit, limit), cost, unit="output_tokens", report=report)


def test_requests_have_a_burst_and_a_rate() -> None:
    first = decide_requests(REQUESTS, None, 5 * NS)
    assert first.standing == Standing("requests", "key", 60, 1, 1.0)
    second = decide_requests(REQUESTS, first.tat_ns, 5 * NS)
    assert (second.wait_s, second.standing.remaining, second.standing.reset_s) == (0.0, 0, 2.0)
    refused = decide_requests(REQUESTS, second.tat_ns, 5 * NS)
    assert (refused.wait_s, refused.tat_ns, refused.standing.remaining) == (1.0, second.tat_ns, 0)
    assert decide_requests(REQUESTS, second.tat_ns, 6 * NS).wait_s == 0


def test_a_bucket_far_ahead_is_pulled_in_for_good_by_the_first_refusal() -> None:
    refused = decide_requests(REQUESTS, 3600 * NS, 0)
    assert (refused.wait_s, refused.tat_ns) == (1.0, 2 * NS)
    assert decide_requests(REQUESTS, refused.tat_ns, NS).wait_s == 0


def test_tokens_fill_a_minute_and_free_when_their_slots_end() -> None:
    first = decide_tokens(tokens(60), {}, 0)
    assert first.standing == Standing("output_tokens", "key", 100, 40, 61.0)
    second = decide_tokens(tokens(40), first.slots, 10 * NS + 1)
    assert (second.wait_s, second.slots) == (0, {0: 60, 10: 40})
    refused = decide_tokens(tokens(70), second.slots, 20 * NS)
    assert (refused.wait_s, refused.slots) == (51.0, second.slots)  # both must end
    assert decide_tokens(tokens(60), second.slots, 20 * NS).wait_s == 41.0  # the first is enough
    assert decide_tokens(tokens(60), second.slots, 61 * NS).wait_s == 0
    assert decide_tokens(tokens(60), second.slots, 61 * NS - 1).wait_s > 0


def test_nothing_fits_an_empty_claim_only_when_there_is_debt() -> None:
    assert decide_tokens(tokens(0), {}, 0).slots == {0: 0}
    assert decide_tokens(tokens(0), {0: 100}, 0).wait_s == 0
    assert decide_tokens(tokens(0), {0: 101}, 0).wait_s == 61.0


def test_more_than_a_minute_s_worth_never_fits() -> None:
    verdict = decide_tokens(tokens(101), {}, 0)
    assert (verdict.wait_s, verdict.standing.remaining, verdict.standing.reset_s) == (NEVER, 100, 0.0)


def test_slots_end_and_later_ones_count_as_now() -> None:
    assert live_slots({0: 1, 39: 2, 40: 3, 100: 4, 5000: 5, 6000: 0}, 100) == {40: 3, 100: 9}


def test_settling_gives_back_what_was_not_used_where_it_was_charged() -> None:
    slots = {10: 80, 11: 20}
    assert settle_tokens(slots, 50, 10, reserved_second=10, second=30) == {10: 40, 11: 20}
    assert settle_tokens(slots, 80, 0, reserved_second=10, second=30) == {11: 20}
    assert settle_tokens(slots, 90, 0, reserved_second=10, second=30) == {11: 20}  # never below nothing
    assert settle_tokens(slots, 80, 0, reserved_second=10, second=10 + WINDOW_S) == {11: 20}  # has ended by itself
    assert settle_tokens({5000: 80}, 50, 0, reserved_second=5000, second=30) == {30: 30}  # the clock went back


def test_settling_charges_an_excess_when_it_is_known() -> None:
    assert settle_tokens({10: 80}, 50, 70, reserved_second=10, second=30) == {10: 80, 30: 20}


def test_concurrency() -> None:
    assert (decide_concurrency(PLACE, 1), decide_concurrency(PLACE, 2)) == (0.0, 1.0)


def test_budgets_last_for_their_period() -> None:
    assert decide_budget(DAY, 70, NOON).charged == 100
    refused = decide_budget(DAY, 71, NOON)
    assert (refused.wait_s, refused.charged) == (12 * 3600.0, 71)
    assert decide_budget(BudgetClaim("d", 10, 11, "month"), 0, NOON).wait_s == NEVER
    assert (settle_budget(100, 30, 12), settle_budget(100, 30, 45), settle_budget(10, 30, 0)) == (82, 115, 0)


@pytest.mark.parametrize(
    ("unix_s", "day", "month", "month_end_s"),
    [
        (NOON, "2025-11-22", "2025-11", 1_764_547_200),
        (1_764_547_199, "2025-11-30", "2025-11", 1_764_547_200),
        (1_767_225_599, "2025-12-31", "2025-12", 1_767_225_600),
        (1_709_164_800, "2024-02-29", "2024-02", 1_709_251_200),
    ],
)
def test_periods_are_the_calendar_s_in_utc(unix_s: int, day: str, month: str, month_end_s: int) -> None:
    assert (period_key("day", unix_s), period_key("month", unix_s)) == (day, month)
    assert period_end_s("month", unix_s) == month_end_s
    assert period_end_s("day", unix_s) == unix_s // 86400 * 86400 + 86400


@given(st.integers(0, 4_000_000_000), st.sampled_from(["day", "month"]))
def test_a_period_ends_where_the_next_begins(unix_s: int, period: str) -> None:
    end_s = int(period_end_s(period, unix_s))  # type: ignore[arg-type]
    assert unix_s < end_s
    assert period_key(period, end_s - 1) == period_key(period, unix_s) != period_key(period, end_s)  # type: ignore[arg-type]


def test_what_counts_as_used() -> None:
    used = Used(prompt_tokens=3, output_tokens=4)
    assert [used_of(unit, used, 9) for unit in ("requests", "prompt_tokens", "output_tokens")] == [9, 3, 4]


def test_all_fit() -> None:
    assert conclude([(REQUESTS, 0.0), (PLACE, 0.0)]) == frozenset()


def test_the_longest_wait_is_told_and_of_equals_the_first() -> None:
    with pytest.raises(RateLimited) as short:
        conclude([(REQUESTS, 0.5), (PLACE, 1.0), (ConcurrencyClaim("later", 1, "team a", whose="team"), 1.0)])
    assert (short.value.reason, short.value.retry_after_s) == ("concurrency_limited_key", 1.0)
    assert short.value.standing is None
    with pytest.raises(QuotaExceeded) as quota:
        conclude([(REQUESTS, 0.5), (DAY, 9.0)])
    assert (quota.value.reason, quota.value.limit) == ("day_budget_used_up_key", "100 tokens a day for this key")


def test_a_rate_s_refusal_says_where_it_stands() -> None:
    with pytest.raises(RateLimited) as caught:
        conclude([(tokens(5), 7.0)])
    assert caught.value.standing == Standing("output_tokens", "key", 100, 0, 7.0)


def test_what_never_fits_is_told_before_all_else() -> None:
    with pytest.raises(BeyondLimit) as caught:
        conclude([(DAY, 9.0), (tokens(500), NEVER)])
    assert (caught.value.reason, caught.value.limit) == (
        "beyond_output_tokens_limited_key",
        "100 output tokens a minute for this key",
    )


def test_report_refuses_nothing_and_is_left_out_of_what_is_charged() -> None:
    left_out = conclude([(tokens(500, report=True), NEVER), (PLACE, 0.0)])
    assert left_out == {"t"}
    claims = Claims((tokens(500, report=True),), (PLACE,), (DAY,))
    assert charged_claims(claims, left_out) == Claims((), (PLACE,), (DAY,))
    with pytest.raises(RateLimited):
        conclude([(tokens(500, report=True), NEVER), (PLACE, 1.0)])
