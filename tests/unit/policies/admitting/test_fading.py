"""A sum that fades: what happened a memory ago counts 1/e."""

import math

import pytest

from policies.admitting.fading import Fading


def test_what_was_added_fades() -> None:
    sum_ = Fading(10.0)
    sum_.add(5.0, 100.0)
    assert sum_.total(100.0) == 5.0
    assert sum_.total(110.0) == pytest.approx(5.0 / math.e)
    assert sum_.total(1e9) == 0.0


def test_a_steady_stream_is_measured_exactly_in_the_long_run() -> None:
    sum_ = Fading(60.0)
    for step in range(10_000):
        sum_.add(2.0, step * 0.1)
    assert sum_.rate_per_s(999.9) == pytest.approx(20.0, rel=0.01)
    assert sum_.mean() == pytest.approx(2.0)


def test_before_anything_was_added_the_mean_is_nothing() -> None:
    assert Fading(1.0).mean() == 0.0


def test_a_clock_set_back_adds_without_fading() -> None:
    sum_ = Fading(10.0)
    sum_.add(1.0, 100.0)
    sum_.add(1.0, 50.0)
    assert sum_.total(100.0) == 2.0
