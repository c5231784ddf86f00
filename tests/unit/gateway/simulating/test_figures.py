"""What is counted as kept, useful, wasted, late and fair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulating.arrivals import Arrival
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.figures import (
    Terms,
    Window,
    figures,
    kept,
    max_min_shares,
    percentile,
    waits_s,
    work_of,
)
from gateway.simulating.outcome import End, Outcome

MODEL = EngineModel(workers=1, slots=1, decode_s=(0.0, 0.1), prefill_tokens_per_s=100.0)
TERMS = Terms(first_token_s=2.0, token_s=0.2)
ALL = Window(-1.0, 99.0)


def outcome(
    number: int = 0,
    *,
    team: str = "a",
    end: End = "served",
    first_s: float | None = 1.0,
    ended_s: float = 2.0,
    promise_s: float | None = None,
    attempt: int = 0,
    booked: bool = False,
    final: bool = True,
    asked_s: float = 0.0,
    retry_after_s: float | None = None,
    weight: float = 1.0,
) -> Outcome:
    arrival = Arrival(at_s=asked_s, team=team, prompt_tokens=100, output_tokens=10, promise_s=promise_s, weight=weight)
    ran = first_s is not None
    return Outcome(
        number=number,
        arrival=arrival,
        asked_s=asked_s,
        attempt=attempt,
        booked=booked,
        end=end,
        ended_s=ended_s,
        final=final,
        started_s=asked_s + 0.5 if ran else None,
        first_s=first_s,
        retry_after_s=retry_after_s,
        prompt_tokens=100.0 if ran else 0.0,
        output_tokens=10.0 if ran else 0.0,
    )


def test_kept_is_served_in_time_and_at_pace() -> None:
    assert kept(outcome(), TERMS)
    assert not kept(outcome(end="left"), TERMS)
    assert not kept(outcome(first_s=None), TERMS)
    assert not kept(outcome(first_s=2.1, ended_s=3.0), TERMS)
    assert not kept(outcome(first_s=1.0, ended_s=3.1), TERMS)


def test_a_request_is_judged_by_its_own_promise_before_the_common_one() -> None:
    assert kept(outcome(first_s=3.0, ended_s=4.0, promise_s=5.0), TERMS)
    assert not kept(outcome(first_s=1.5, promise_s=1.0), TERMS)


def test_without_terms_served_is_kept() -> None:
    assert kept(outcome(first_s=1000.0, ended_s=9000.0), Terms())


def test_a_try_after_a_told_time_is_judged_from_when_it_was_made() -> None:
    assert kept(outcome(asked_s=50.0, first_s=51.0, ended_s=52.0, attempt=1, booked=True), TERMS)


def test_work_is_what_was_done() -> None:
    assert work_of(outcome(), MODEL) == pytest.approx(2.0)
    assert work_of(outcome(first_s=None), MODEL) == 0.0


def test_goodput_counts_all_who_asked_and_waste_all_work_that_kept_nothing() -> None:
    run = figures(
        [outcome(0), outcome(1, first_s=9.0, ended_s=9.5), outcome(2, end="refused", first_s=None)], MODEL, TERMS, ALL
    )
    assert (run.goodput, run.waste) == (pytest.approx(1 / 3), pytest.approx(0.5))
    assert run.useful_per_worker == pytest.approx(2.0 / 100)
    team = run.teams["a"]
    assert (team.callers, team.kept, team.served, team.refused, team.goodput) == (3, 1, 2, 1, pytest.approx(1 / 3))
    assert (team.p50_wait_s, team.p99_wait_s, run.p99_wait_s) == (0.5, 0.5, 0.5)


def test_callers_outside_the_window_do_not_count_by_their_first_try() -> None:
    tries = [outcome(0, end="refused", first_s=None, final=False), outcome(0, asked_s=20.0, attempt=1)]
    assert figures(tries, MODEL, TERMS, Window(10.0, 99.0)).teams == {}
    assert figures(tries, MODEL, TERMS, ALL).teams["a"].callers == 1


def test_refusals_are_counted_by_try_and_rejections_by_caller() -> None:
    run = figures(
        [
            outcome(0, end="refused", first_s=None, final=False, retry_after_s=3.0),
            outcome(0, asked_s=3.0, first_s=4.0, ended_s=5.0, attempt=1, booked=True),
            outcome(1, end="refused_late", first_s=None),
            outcome(2, end="refused", first_s=None, final=False, retry_after_s=3.0),
            outcome(2, end="refused", first_s=None, attempt=1, booked=True),
        ],
        MODEL,
        TERMS,
        ALL,
    )
    assert (run.refusals, run.late, run.told) == (4, 0.25, 0.5)
    assert run.rejected == pytest.approx(2 / 3)
    assert (run.booked_tries, run.first_try) == (2, 0.5)


def test_nothing_has_no_figures() -> None:
    run = figures([], MODEL, TERMS, ALL)
    assert (run.goodput, run.waste, run.late, run.jain) == (0.0, 0.0, 0.0, 0.0)
    assert (run.p99_wait_s, run.first_try) == (None, None)


def test_jain_is_one_when_all_are_satisfied_alike_and_falls_when_one_is_not() -> None:
    both = [outcome(0, team="a"), outcome(1, team="b")]
    assert figures(both, MODEL, TERMS, ALL).jain == pytest.approx(1.0)
    one = [outcome(0, team="a"), outcome(1, team="b", end="left", first_s=None)]
    assert figures(one, MODEL, TERMS, ALL).jain == pytest.approx(0.5)


def test_the_percentile_is_an_element() -> None:
    assert percentile([], 0.99) is None
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0
    assert percentile([1.0, 2.0], 1.0) == 2.0
    assert waits_s([outcome(0), outcome(1, first_s=None)]) == [0.5]


def test_max_min_gives_the_modest_all_and_splits_the_rest_by_weight() -> None:
    shares = max_min_shares({"a": 1.0, "b": 50.0, "c": 50.0}, {"a": 1.0, "b": 3.0, "c": 1.0}, 9.0)
    assert shares == pytest.approx({"a": 1.0, "b": 6.0, "c": 2.0})


@given(st.dictionaries(st.sampled_from("abcde"), st.floats(0, 100), min_size=1), st.floats(0.1, 200))
def test_max_min_never_gives_more_than_asked_and_wastes_nothing(demand: dict[str, float], capacity: float) -> None:
    shares = max_min_shares(demand, dict.fromkeys(demand, 1.0), capacity)
    assert all(shares[name] <= demand[name] + 1e-9 for name in demand)
    assert sum(shares.values()) == pytest.approx(min(capacity, sum(demand.values())))
