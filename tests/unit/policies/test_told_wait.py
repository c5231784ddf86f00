"""What is told of a wait is one of a few steps, never less than the wait and at most two thirds of it more."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.told_wait import LEAST_MS, MOST_MS, told_ms

ANSWERS = 27
WAITS = st.floats(0, 2_000)


@pytest.mark.parametrize(
    ("wait_s", "told"),
    [
        (-3.0, 0), (0.0, 0), (0.05, 0), (0.0501, 70), (0.07, 70), (0.0701, 100), (0.0995, 100), (0.1, 100),
        (0.1001, 150), (0.9, 1000), (1.0, 1000), (1.001, 1500), (1.9, 2000), (2.9, 3000), (4.2, 5000), (6.0, 7000),
        (7.5, 10_000), (119.0, 150_000), (700.0, 700_000), (701.0, MOST_MS), (1e9, MOST_MS),
        (math.inf, MOST_MS), (math.nan, MOST_MS),
    ],
)  # fmt: skip
def test_the_ladder(wait_s: float, told: int) -> None:
    assert told_ms(wait_s) == told


@given(WAITS)
def test_never_less_and_at_most_two_thirds_more(wait_s: float) -> None:
    wait_ms = wait_s * 1000
    if LEAST_MS < wait_ms <= MOST_MS:
        assert wait_ms <= told_ms(wait_s) <= 5 / 3 * wait_ms + 1e-6


@given(WAITS, WAITS)
def test_longer_is_never_told_as_shorter(one_s: float, other_s: float) -> None:
    assert (told_ms(one_s) <= told_ms(other_s)) or one_s > other_s


def test_there_are_few_answers() -> None:
    assert len({told_ms(wait_ms / 1000) for wait_ms in range(0, 1_200_000, 7)}) == ANSWERS
