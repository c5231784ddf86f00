"""What `corral capacity` answers: figures by both models, their spread, what is not known, and slots to add."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.proofs.queueing import pool_row, promise_row
from policies.batching_model import Work
from policies.capacity import (
    MAX_SLOTS,
    CapacityAnswer,
    ModelFigures,
    Question,
    capacity,
    carries_per_s,
    first_token_s,
    samples_needed,
    slots_needed,
)
from policies.pool_model import Flow, PoolModel
from policies.queueing import Line, erlang_c, mmc_wait_quantile_s, square_root_staffing
from tests.unit.policies.pool_views import FOUR, pool, target, view


def mm(slots: int) -> PoolModel:
    flow = Flow(arrivals_per_s=1, arrival_cv2=1, work=Work(fixed_s=2), service_cv2=1)
    return PoolModel(name="full", own=flow, others=(), slots=slots, slots_per_target=slots)


def asked(question: Question | None = None, **changes: object) -> CapacityAnswer:
    mine = pool(**changes)
    return capacity(mine, view(mine), question or Question())


def both(answer: CapacityAnswer) -> tuple[ModelFigures, ModelFigures]:
    full, batching = answer.figures
    assert (full.model, batching.model) == ("full", "batching")
    return full, batching


# ---- the rate that keeps the promise


def test_one_slot_in_closed_form() -> None:
    """P(W > t) = rho exp(-(mu - lambda) t) <= 5 %: with no time to wait at all, rho itself."""
    assert carries_per_s(mm(1), 0, 0.95) == pytest.approx(0.05 / 2, rel=0.01)
    rate_per_s = carries_per_s(mm(1), 10, 0.95)
    assert 2 * rate_per_s * math.exp(-(0.5 - rate_per_s) * 10) == pytest.approx(0.05, rel=0.01)


@given(st.integers(1, 20), st.floats(0, 20), st.floats(0.5, 0.99))
def test_at_that_rate_the_quantile_of_the_wait_is_the_budget(slots: int, budget_s: float, quantile: float) -> None:
    rate_per_s = carries_per_s(mm(slots), budget_s, quantile)
    exact = Line(servers=slots, arrivals_per_s=rate_per_s, service_s=2)
    assert mmc_wait_quantile_s(exact, quantile) <= budget_s + 1e-6
    assert carries_per_s(mm(slots + 1), budget_s, quantile) > rate_per_s


def test_no_rate_keeps_a_promise_shorter_than_nothing() -> None:
    assert carries_per_s(mm(4), -0.1, 0.95) == 0


# ---- slots


@given(st.floats(0.01, 20), st.floats(0, 10), st.floats(0.5, 0.99))
def test_as_few_slots_as_keep_it(rate_per_s: float, budget_s: float, quantile: float) -> None:
    found = slots_needed(mm(4), rate_per_s, budget_s, quantile)
    assert found is not None
    slots, by_rule = found
    assert by_rule == square_root_staffing(rate_per_s * 2, 1 - quantile)
    assert mm(4).waits(rate_per_s, slots).tail(budget_s) <= 1 - quantile
    assert slots == 1 or mm(4).waits(rate_per_s, slots - 1).tail(budget_s) > 1 - quantile


def test_where_the_rule_is_one_too_few_the_tail_says_so() -> None:
    load, waits = next(
        (load / 10, waits)
        for waits in (0.1, 0.3, 0.01)
        for load in range(1, 2000)
        if erlang_c(square_root_staffing(load / 10, waits), load / 10) > waits
    )
    slots, by_rule = slots_needed(mm(4), load / 2, 0, 1 - waits) or (0, 0)
    assert slots > by_rule


def test_no_number_of_slots() -> None:
    assert slots_needed(mm(4), 1, -0.1, 0.95) is None
    assert slots_needed(mm(4), MAX_SLOTS, 1, 0.95) is None


# ---- the whole answer


def test_both_models_side_by_side() -> None:
    answer = asked()
    full, batching = both(answer)
    assert (answer.promise_s, answer.quantile, answer.slots, answer.unknown) == (10.0, 0.95, 16, "")
    assert answer.first_token_s == pytest.approx(1 + 0.0537)
    assert full.service_s == pytest.approx(batching.service_s)
    assert full.saturates_per_s == pytest.approx(16 / full.service_s)
    assert full.carries_per_s is not None
    assert batching.carries_per_s is not None
    assert 0 < full.carries_per_s < batching.carries_per_s < batching.saturates_per_s
    assert full.now.utilisation == pytest.approx(0.9 * full.service_s / 16)
    assert full.now.kept_share is not None
    assert full.now.kept_share > 0.95
    assert (full.asked, batching.asked) == (None, None)
    assert answer.remarks == ()
    for figures in answer.figures:
        assert "%" in figures.error


def test_the_spread_of_the_samples_is_carried_through() -> None:
    few, many = both(asked(samples=100))[0], both(asked(samples=10_000))[0]
    assert asked(samples=100).spread == pytest.approx(1.96 * math.sqrt(2) / 10)
    for figures in (few, many):
        low, middle, high = figures.carries_low_per_s, figures.carries_per_s, figures.carries_high_per_s
        assert low is not None
        assert middle is not None
        assert high is not None
        assert low < middle < high
    assert (few.carries_low_per_s or 0) < (many.carries_low_per_s or 0)
    assert (few.carries_high_per_s or 0) > (many.carries_high_per_s or 0)


def test_a_load_that_is_too_much() -> None:
    full, _ = both(asked(Question(arrivals_per_s=2.0)))
    load = full.asked
    assert load is not None
    assert load.utilisation > 1
    assert (load.mean_wait_s, load.likely_wait_s, load.quantile_wait_s) == (None, None, None)
    assert (load.wait_share, load.kept_share) == (1, 0)
    assert load.slots_needed is not None
    assert load.slots_needed > 2.0 * full.service_s


def test_a_load_with_those_slots_keeps_the_promise() -> None:
    full, _ = both(asked(Question(arrivals_per_s=2.0)))
    assert full.asked is not None
    slots = full.asked.slots_needed
    mine = pool(slots=slots)
    (more,) = capacity(mine, view(mine, targets=(target(0, slots=slots, decode_s=()),)), Question()).figures
    assert (more.carries_per_s or 0) >= 2.0 * 0.999


def test_without_a_promise_there_are_waits_and_no_rate() -> None:
    answer = asked(promise_s=0.0)
    full, _ = both(answer)
    assert answer.promise_s is None
    assert (full.carries_per_s, full.carries_low_per_s, full.carries_high_per_s) == (None, None, None)
    assert (full.now.kept_share, full.now.slots_needed, full.now.slots_by_rule) == (None, None, None)
    assert full.now.mean_wait_s is not None
    assert "no promise" in answer.remarks[0]


def test_an_own_promise_goes_before_the_pools() -> None:
    long, short = both(asked(Question(promise_s=60)))[0], both(asked(Question(promise_s=2)))[0]
    assert (long.carries_per_s or 0) > (short.carries_per_s or 0) > 0


def test_a_promise_shorter_than_the_prefill() -> None:
    answer = asked(Question(promise_s=0.5))
    full, _ = both(answer)
    assert (full.carries_per_s, full.now.kept_share, full.now.slots_needed) == (0, 0, None)
    assert "shorter than the time a mean prompt takes" in answer.remarks[0]


def test_the_time_to_the_first_token_is_the_prefill_where_it_was_not_seen() -> None:
    assert first_token_s(pool(first_token_s_per_token=0.0)) == pytest.approx(0.77)


# ---- what cannot be known


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slots": 0}, "no target of this pool is ready"),
        ({"samples": 0}, "nothing measured yet"),
        ({"service_s": 0.0}, "nothing measured yet"),
        ({"samples": 29, "service_cv2": 0.5}, "too few measured: 29 requests, 30 are needed"),
        ({"samples": 60, "service_cv2": 9.0}, "60 requests, 139 are needed, their times differ so much (cv2 9.0)"),
    ],
)
def test_no_figure_is_guessed(changes: dict[str, float], words: str) -> None:
    answer = asked(**changes)
    assert words in answer.unknown
    assert (answer.figures, answer.remarks) == ((), ())


@given(st.floats(0, 50))
def test_so_many_samples_make_a_mean_known_to_half_of_it(cv2: float) -> None:
    assert 1.96 * math.sqrt(cv2 / samples_needed(cv2)) <= 0.5 + 1e-9


def remarks(*, targets: tuple = FOUR, neighbours: tuple = (), **changes: object) -> str:
    mine = pool(**changes)
    return "\n".join(capacity(mine, view(mine, *neighbours, targets=targets), Question()).remarks)


def test_what_limits_the_figures_is_said() -> None:
    assert "in bursts (cv2 3.0)" in remarks(arrival_cv2=3.0)
    assert "its slots serve m:latest embedding too" in remarks(neighbours=(pool(kind="embedding"),))
    assert "only the safe model" in remarks(targets=tuple(target(n, decode_s=()) for n in range(4)))
    assert "more than 2 requests at once" in remarks(targets=tuple(target(n, decode_s=((2, 0.04),)) for n in range(4)))
    assert "explain 31% of the time" in remarks(service_s=18.0, arrivals_per_s=0.01)


def test_the_present_load_of_neighbours_leaves_less() -> None:
    mine, neighbour = pool(), pool(kind="completion", arrivals_per_s=0.5)
    alone, shared = capacity(mine, view(mine), Question()), capacity(mine, view(mine, neighbour), Question())
    assert 0 < (shared.figures[0].carries_per_s or 0) < (alone.figures[0].carries_per_s or 0)
    swamped = capacity(mine, view(mine, pool(kind="completion", arrivals_per_s=9.0)), Question()).figures[0]
    assert (swamped.carries_per_s, swamped.saturates_per_s) == (0, 0)


@pytest.mark.slow
def test_the_rate_it_names_keeps_the_promise_in_simulation() -> None:
    row = promise_row(60_000, 16, 0.5, (1.0, 2.0))
    assert row["kept"] >= 0.94
    assert row["kept_at_a_third_more"] < 0.9


@pytest.mark.slow
def test_so_it_does_in_a_simulated_pool_that_batches() -> None:
    rows = pool_row(30_000, (1.0, 2.0), 2.0)
    assert min(rows["batching"]["kept"], rows["full"]["kept"]) >= 0.94
    assert rows["batching"]["kept_at_a_third_more"] < 0.9
    assert rows["batching"]["carries_per_s"] > rows["full"]["carries_per_s"]


# ---- questions


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_questions_that_are_none(bad: float) -> None:
    for call in (lambda: Question(arrivals_per_s=bad), lambda: Question(promise_s=bad), lambda: Question(quantile=bad)):
        with pytest.raises(ValueError, match="must be"):
            call()
    with pytest.raises(ValueError, match=r"quantile must be at least 0\.5 and below 1"):
        Question(quantile=1.0)
