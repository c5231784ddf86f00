"""How well waits were foretold: who counts, in which group, and each figure."""

import pytest

from gateway.simulating.arrivals import Arrival
from gateway.simulating.outcome import Outcome
from gateway.simulating.prediction_figures import predictions
from policies.admitting.effects import Forecast


def waited(predicted_s: float, actual_s: float | None, *, likely_s: float = 0.0, position: int = 1) -> Outcome:
    return Outcome(
        number=0,
        arrival=Arrival(at_s=0.0, team="a", prompt_tokens=1, output_tokens=1),
        asked_s=10.0,
        attempt=0,
        booked=False,
        end="served",
        ended_s=99.0,
        final=True,
        started_s=None if actual_s is None else 10.0 + actual_s,
        forecast=Forecast(wait_s=predicted_s, likely_s=likely_s, p90_s=2 * likely_s, position=position),
    )


def test_bias_error_and_coverage() -> None:
    figures = predictions([waited(2.0, 1.0, likely_s=1.5), waited(4.0, 5.0, likely_s=4.5)])["all"]
    assert (figures.waits, figures.mean_wait_s, figures.mean_error_s) == (2, pytest.approx(3.0), pytest.approx(1.0))
    assert (figures.bias, figures.error) == (pytest.approx(0.0), pytest.approx(1 / 3))
    assert figures.median_relative_error == pytest.approx((1.0 + 0.2) / 2)
    assert (figures.coverage, figures.coverage_90, figures.coverage_long) == (0.5, 1.0, 0.0)


def test_groups_are_by_predicted_seconds_and_by_position() -> None:
    found = predictions([waited(0.5, 0.1), waited(3.0, 3.0, position=4), waited(9.0, 9.0, position=500)])
    assert {name: each.waits for name, each in found.items()} == {
        "all": 3,
        "predicted 0 to 1 s": 1,
        "predicted 3 to 8 s": 1,
        "predicted 8 to inf s": 1,
        "position 1 to 1": 1,
        "position 2 to 4": 1,
    }


def test_short_waits_have_no_relative_error() -> None:
    figures = predictions([waited(0.5, 0.1)])["all"]
    assert (figures.median_relative_error, figures.coverage_long) == (None, None)
    assert predictions([waited(0.5, 0.0)])["all"].bias == 0.0


def test_who_did_not_wait_or_never_ran_is_left_out() -> None:
    assert predictions([waited(0.0, 0.0), waited(3.0, None)]) == {}
