"""Factors from predicted to actual waits: they find the quantile, whatever the error of the prediction."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.admitting.wait_quantiles import FIRST_FACTOR, WaitQuantiles


def test_the_first_guess_is_cautious() -> None:
    assert WaitQuantiles().likely_s(2.0) == pytest.approx(2.0 * FIRST_FACTOR)
    assert WaitQuantiles().p90_s(2.0) == pytest.approx(4.0 * FIRST_FACTOR)


@pytest.mark.parametrize("bias", [0.5, 1.0, 3.0])
def test_the_share_of_waits_within_the_quantile_becomes_the_quantile(bias: float) -> None:
    chance, factors, within = random.Random(1), WaitQuantiles(), []
    for _ in range(6_000):
        actual_s = 2.0 * bias * chance.expovariate(1.0)
        within.append((actual_s <= factors.likely_s(2.0), actual_s <= factors.p90_s(2.0)))
        factors.learn(2.0, actual_s, 0.7)
    late = within[2_000:]
    assert sum(likely for likely, _ in late) / len(late) == pytest.approx(0.7, abs=0.03)
    assert sum(p90 for _, p90 in late) / len(late) == pytest.approx(0.9, abs=0.03)


def test_each_size_of_prediction_learns_for_itself() -> None:
    factors = WaitQuantiles()
    for _ in range(100):
        factors.learn(0.5, 50.0, 0.7)
    assert factors.likely_s(0.5) == pytest.approx(0.5 * 8.0)
    assert factors.likely_s(5.0) == pytest.approx(5.0 * FIRST_FACTOR)


def test_the_shortest_predictions_teach_nothing() -> None:
    factors = WaitQuantiles()
    factors.learn(0.1, 50.0, 0.7)
    assert factors.likely_s(0.1) == pytest.approx(0.1 * FIRST_FACTOR)


@pytest.mark.parametrize("bias", [0.5, 1.0, 3.0])
def test_what_is_told_of_many_waits_adds_up_to_what_they_took(bias: float) -> None:
    chance, factors, told_s, waited_s = random.Random(2), WaitQuantiles(), 0.0, 0.0
    for count in range(3_000):
        raw_s = chance.uniform(0.05, 6.0)
        actual_s = raw_s * bias * chance.expovariate(1.0)
        if count > 500:
            told_s, waited_s = told_s + factors.mean_s(raw_s), waited_s + actual_s
        factors.learn(raw_s, actual_s, 0.5)
    assert told_s / waited_s == pytest.approx(1.0, abs=0.05)


def test_one_wait_moves_the_mean_little() -> None:
    factors = WaitQuantiles()
    assert factors.mean_s(2.0) == 2.0
    factors.learn(2.0, 8.0, 0.5)
    assert factors.mean_s(2.0) == pytest.approx(2.0 * (9.8 + 4.0) / (9.8 + 1.0))


def test_a_prediction_without_end_teaches_nothing() -> None:
    factors = WaitQuantiles()
    factors.learn(math.inf, 1.0, 0.5)
    assert factors.mean_s(2.0) == 2.0


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6))))
def test_factors_stay_within_their_bounds_and_in_order(waits: list[tuple[float, float]]) -> None:
    factors = WaitQuantiles()
    for predicted_s, actual_s in waits:
        factors.learn(predicted_s, actual_s, 0.7)
        assert 0.29 * predicted_s <= factors.likely_s(predicted_s) <= factors.p90_s(predicted_s) <= 8.01 * predicted_s
        assert 0.29 * predicted_s <= factors.mean_s(predicted_s) <= 8.01 * predicted_s
