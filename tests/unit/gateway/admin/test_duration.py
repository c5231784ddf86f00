"""Durations: what people write, and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.duration import read_duration_s, read_moment_s


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("30m", 1800), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600), ("0s", 0)]
)
def test_durations(text, seconds):
    assert read_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "90", "d", "-1d", "1.5h", "1 d", "1d ", "never", "90D", "1d12h", "٣d", "9999999999d"]
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is not a duration such as 90d"):
        read_duration_s(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert read_duration_s(text) >= 0


NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "moment_s"),
    [
        ("90s", NOW_S + 90),
        ("2027-01-15T08:00:00Z", NOW_S),
        ("2027-01-15T09:00:00+01:00", NOW_S),
        ("2027-01-15T08:00:00.5Z", NOW_S + 0.5),
    ],
)
def test_a_moment_is_a_duration_from_now_or_a_time_with_its_offset(text, moment_s):
    assert read_moment_s(text, NOW_S) == moment_s


@pytest.mark.parametrize("text", ["", "2027-01-15", "2027-01-15T08:00:00", "tomorrow", "12", "-1h"])
def test_a_time_of_no_known_zone_is_no_moment(text):
    with pytest.raises(ValueError, match="neither a duration"):
        read_moment_s(text, NOW_S)
