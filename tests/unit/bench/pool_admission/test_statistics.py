"""Shares, their intervals, and when a bound is missed."""

import math

import pytest

from bench.pool_admission.statistics import (
    NOTHING,
    Figure,
    mean,
    quantile,
    ratio_of_sums,
    rounded,
    share_of,
    shifted,
    wilson,
)


def test_wilson_is_the_published_interval() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 and 0 of 20, method 3."""
    assert (round(wilson(81, 263).low, 4), round(wilson(81, 263).high, 4)) == (0.2553, 0.3662)
    assert (round(wilson(0, 20).low, 4), round(wilson(0, 20).high, 4)) == (0.0, 0.1611)
    assert wilson(1, 29).value == pytest.approx(1 / 29)


def test_a_whole_share_keeps_an_open_lower_end() -> None:
    figure = wilson(200, 200)
    assert figure.high == pytest.approx(1.0)
    assert 0.98 < figure.low < 1.0


def test_no_observation_misses_no_bound_and_shows_its_count() -> None:
    figure = wilson(0, 0)
    assert figure is NOTHING
    assert figure.at_least(0.95)
    assert figure.at_most(0.05)
    assert figure.within(0.5, 0.08)
    assert figure.count == 0


@pytest.mark.parametrize(
    ("low", "high", "least", "most", "near"),
    [
        (0.90, 0.96, True, False, False),
        (0.90, 0.94, False, False, False),
        (0.01, 0.04, False, True, False),
        (0.04, 0.20, False, True, False),
        (0.57, 0.70, False, False, True),
        (0.59, 0.70, False, False, False),
        (0.30, 0.41, False, False, False),
        (0.30, 0.43, False, False, True),
    ],
)
def test_a_bound_is_missed_only_by_a_whole_interval(
    low: float, high: float, least: bool, most: bool, near: bool
) -> None:
    figure = Figure((low + high) / 2, low, high, 100)
    assert (figure.at_least(0.95), figure.at_most(0.05), figure.within(0.5, 0.08)) == (least, most, near)


def test_a_ratio_of_sums_lies_in_its_interval_and_is_the_same_for_the_same_seed() -> None:
    pairs = [(float(number % 3), 2.0) for number in range(60)]
    figure = ratio_of_sums(pairs)
    assert figure.value == pytest.approx(0.5)
    assert figure.low < 0.5 < figure.high
    assert ratio_of_sums(pairs) == figure
    assert ratio_of_sums(pairs, seed=2).low != figure.low
    assert ratio_of_sums([]) is NOTHING
    assert ratio_of_sums([(0.0, 0.0)]) is NOTHING


def test_a_ratio_of_equal_pairs_has_no_width_and_can_be_shifted() -> None:
    figure = shifted(ratio_of_sums([(1.0, 2.0)] * 10), -1.0)
    assert (figure.value, figure.low, figure.high, figure.count) == (-0.5, -0.5, -0.5, 10)


def test_shares_means_and_quantiles() -> None:
    assert share_of([True, False, True, True]).value == 0.75
    assert mean([1.0, 3.0]) == 2.0
    assert math.isnan(mean([]))
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0, 2.0], 1.0) == 3.0
    assert math.isnan(quantile([], 0.5))


def test_a_report_is_rounded_all_over_and_says_none_for_what_was_not_measured() -> None:
    tree = {"a": [1.234567, math.nan], "b": (2, "text"), "c": True}
    assert rounded(tree, 2) == {"a": [1.23, None], "b": [2, "text"], "c": True}
    assert wilson(1, 2).told()["n"] == 2
