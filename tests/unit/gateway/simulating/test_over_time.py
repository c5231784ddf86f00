"""Invariant: every caller lies in the slice in which it first asked, and shares of a slice add up to one."""

import pytest

from gateway.simulating.arrivals import Arrival
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.figures import Terms
from gateway.simulating.outcome import Outcome
from gateway.simulating.over_time import courses


def one(at_s: float, team: str, wait_s: float | None = 1.0, *, attempt: int = 0, output_tokens: float = 10) -> Outcome:
    arrival = Arrival(at_s=at_s, team=team, prompt_tokens=1, output_tokens=10, promise_s=2.0)
    asked_s = at_s + 100 * attempt
    served = wait_s is not None
    return Outcome(
        number=1,
        arrival=arrival,
        asked_s=asked_s,
        attempt=attempt,
        booked=False,
        end="served" if served else "refused",
        ended_s=asked_s + 9,
        final=True,
        started_s=asked_s + wait_s if wait_s is not None else None,
        first_s=asked_s + wait_s + 0.5 if wait_s is not None else None,
        output_tokens=output_tokens if served else 0.0,
    )


def course(*outcomes: Outcome, span_s: float = 10.0):
    return courses(outcomes, EngineModel(), Terms(), span_s=span_s, slices=2)


def test_each_caller_counts_where_it_first_asked() -> None:
    found = course(one(0, "a"), one(1, "a", 3.0), one(4, "a", None), one(4, "a", 1.0, attempt=1), one(10, "b"))
    assert list(found) == ["a", "b"]
    assert found["a"].kept == [2 / 3, None]
    assert found["a"].wait_s == [(1 + 3 + 1) / 3, None]
    assert found["b"].kept == [None, 1.0]


def test_shares_are_of_the_work_in_the_slice() -> None:
    found = course(one(0, "a", output_tokens=30), one(0, "b", output_tokens=10), one(9, "b"), one(9, "a", None))
    assert found["a"].share == pytest.approx([0.75, 0.0])
    assert found["b"].share == pytest.approx([0.25, 1.0])


def test_no_time_and_no_work() -> None:
    found = course(one(0, "a", None), span_s=0.0)
    assert (found["a"].kept, found["a"].wait_s, found["a"].share) == ([0.0, None], [None, None], [None, None])
