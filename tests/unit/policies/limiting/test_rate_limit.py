"""GCRA: for any schedule, admitted(t, t + W) <= burst + rate * W."""

from hypothesis import given
from hypothesis import strategies as st

from policies.limiting.rate_limit import NS_PER_MINUTE, Conforming, Rate, TooSoon, gcra


def test_a_full_bucket_gives_its_burst_and_no_more() -> None:
    rate, tat_ns = Rate(per_minute=60, burst=3), None
    for _ in range(3):
        decision = gcra(rate, tat_ns, 0)
        assert isinstance(decision, Conforming)
        tat_ns = decision.tat_ns
    refused = gcra(rate, tat_ns, 0)
    assert refused == TooSoon(retry_after_ns=1_000_000_000)


def test_the_time_to_come_back_is_true() -> None:
    rate, tat_ns = Rate(per_minute=7, burst=1), None
    decision = gcra(rate, tat_ns, 5)
    assert isinstance(decision, Conforming)
    refused = gcra(rate, decision.tat_ns, 6)
    assert isinstance(refused, TooSoon)
    assert isinstance(gcra(rate, decision.tat_ns, 6 + refused.retry_after_ns), Conforming)
    assert isinstance(gcra(rate, decision.tat_ns, 5 + refused.retry_after_ns), TooSoon)


def test_a_clock_that_went_back_locks_nobody_out() -> None:
    rate = Rate(per_minute=60, burst=2)
    refused = gcra(rate, 3600 * 10**9, 0)
    assert isinstance(refused, TooSoon)
    assert refused.retry_after_ns <= rate.burst * rate.interval_ns


@given(
    st.integers(1, 1000),
    st.integers(1, 20),
    st.lists(st.integers(0, 2 * 10**9), min_size=1, max_size=60),
    st.integers(1, 10**10),
)
def test_no_window_admits_more_than_burst_and_rate_allow(
    per_minute: int, burst: int, gaps_ns: list[int], window_ns: int
) -> None:
    rate, tat_ns, now_ns = Rate(per_minute, burst), None, 0
    admitted: list[int] = []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        decision = gcra(rate, tat_ns, now_ns)
        if isinstance(decision, Conforming):
            tat_ns = decision.tat_ns
            admitted.append(now_ns)
    for start_ns in admitted:
        inside = sum(start_ns <= each <= start_ns + window_ns for each in admitted)
        assert inside <= burst + per_minute * window_ns / NS_PER_MINUTE
