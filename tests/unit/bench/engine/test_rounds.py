"""Rounds: everything once, the ways of one load together, and an end in time."""

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from bench.engine.rounds import LEAST_ROUNDS, another, order

PAIRS = [("a", ["x", "y", "z"]), ("b", ["x"]), ("c", ["y", "z"]), ("d", [])]


@given(st.integers(0, 200))
def test_everything_runs_once_and_the_ways_of_a_load_together(number: int) -> None:
    found = order(PAIRS, number)
    assert sorted(found) == sorted((load, way) for load, ways in PAIRS for way in ways)
    assert len([load for load, _ in groupby(found, key=lambda pair: pair[0])]) == 3


def test_rounds_differ_and_can_be_had_again() -> None:
    assert order(PAIRS, 1) == order(PAIRS, 1)
    assert len({tuple(order(PAIRS, number)) for number in range(10)}) > 5


def test_there_are_at_least_two_rounds_whatever_they_take() -> None:
    assert another([], 1.0)
    assert another([100.0], 1.0)
    assert LEAST_ROUNDS == 2
    assert not another([100.0, 100.0], 1.0)


def test_another_round_must_fit_as_long_as_the_longest() -> None:
    assert another([10.0, 20.0], 50.0)
    assert not another([10.0, 20.0], 49.0)
