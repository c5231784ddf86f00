"""Invariant: a period is the same span on every machine, and a time belongs to exactly one month and one week."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auditing.report_period import Period, as_ts, read_month, read_period, read_week


def test_a_month_and_a_week() -> None:
    assert read_month("2026-12") == Period("2026-12", "2026-12-01T00:00:00.000000Z", "2027-01-01T00:00:00.000000Z")
    assert read_week("2026-W53").since == "2026-12-28T00:00:00.000000Z"
    assert read_week("2026-W53").until == "2027-01-04T00:00:00.000000Z"
    assert read_period("2026-W43") == read_week("2026-W43")
    assert read_period("2026-10") == read_month("2026-10")


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "26-01", "2026-1", "1969-01", "9999-01", "2026-W10", "x"])
def test_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="a month is written like"):
        read_month(text)


@pytest.mark.parametrize("text", ["2025-W53", "2026-W00", "2026-W54"])
def test_a_week_the_year_does_not_have(text: str) -> None:
    with pytest.raises(ValueError, match="has no week"):
        read_week(text)


@pytest.mark.parametrize("text", ["2026-10", "2026-W1", "9999-W01", "1970-W01"])
def test_no_week(text: str) -> None:
    with pytest.raises(ValueError, match="a week is written like"):
        read_week(text)


@settings(max_examples=200)
@given(st.datetimes(min_value=datetime(1972, 1, 1), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001
def test_each_time_is_in_its_month_and_its_week(at: datetime) -> None:
    ts = as_ts(at.replace(tzinfo=UTC, microsecond=0).timestamp())
    year, week, _ = at.isocalendar()
    month, isoweek = read_month(f"{at.year:04d}-{at.month:02d}"), read_week(f"{year:04d}-W{week:02d}")
    for period in (month, isoweek):
        assert period.holds(ts)
        assert not period.holds(period.until)
        assert period.holds(period.since)
        assert as_ts(period.since_s) == period.since
        assert as_ts(period.until_s) == period.until
