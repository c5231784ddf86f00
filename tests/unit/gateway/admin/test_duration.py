"""Durations: what people write, and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.duration import read_duration_s


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
