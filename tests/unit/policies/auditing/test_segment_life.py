"""Invariant: only the oldest closed segment goes, only after its time, and never while a hold covers any of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.segment_life import (
    DAY_S,
    MIN_RETENTION_DAYS,
    SEALING_BYTES,
    Hold,
    Span,
    covers,
    is_old,
    is_over,
    may_go,
)

NOW_S = 1_000 * DAY_S


def test_a_segment_ends_before_it_would_grow_past_its_bound() -> None:
    assert not is_over(0, 10_000, 100), "a commit larger than a segment gets one for itself"
    assert not is_over(100, 100, 200 + SEALING_BYTES)
    assert is_over(101, 100, 200 + SEALING_BYTES)


def test_a_day_ends_a_segment_and_a_clock_set_back_does_not() -> None:
    assert is_old(0.0, DAY_S)
    assert not is_old(1.0, DAY_S)
    assert not is_old(DAY_S, 0.0)


@pytest.mark.parametrize(
    ("begin_s", "end_s", "from_s", "to_s", "is_covered"),
    [
        (10, 20, None, None, True),
        (10, 20, 20, None, True),
        (10, 20, 21, None, False),
        (10, 20, None, 10, True),
        (10, 20, None, 9, False),
        (10, 20, 12, 13, True),
        (None, 20, None, 9, True),
        (10, None, 21, None, True),
    ],
)
def test_what_a_hold_covers(
    begin_s: float | None, end_s: float | None, from_s: float | None, to_s: float | None, is_covered: bool
) -> None:
    assert covers(Hold(id="h", from_s=from_s, to_s=to_s), Span(begin_s, end_s)) is is_covered


def test_the_time_of_a_segment() -> None:
    end_s = NOW_S - 400 * DAY_S
    assert may_go(Span(0.0, end_s), NOW_S, 400, ())
    assert not may_go(Span(0.0, end_s + 1), NOW_S, 400, ())
    assert not may_go(Span(0.0, None), NOW_S, 400, ())
    assert not may_go(Span(0.0, end_s), NOW_S, 400, (Hold(id="h"),))


@given(st.integers(0, MIN_RETENTION_DAYS - 1), st.floats(0, MIN_RETENTION_DAYS * DAY_S - 1))
def test_nothing_goes_before_six_months_whatever_is_asked(days: int, age_s: float) -> None:
    assert not may_go(Span(0.0, NOW_S - age_s), NOW_S, days, ())
