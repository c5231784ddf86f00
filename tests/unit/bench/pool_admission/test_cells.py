"""Figures of a cell, from stories made by hand."""

import pytest

from bench.pool_admission.blocks import Block, Plan
from bench.pool_admission.capacity import Capacity
from bench.pool_admission.cells import bias, cell, coverage, in_time, judged_quantile, refused, waits, wasted
from bench.pool_admission.load import Answered
from bench.pool_admission.statistics import rounded
from bench.pool_admission.stories import Story

PROMISES_S = {"light": 2.0, "flood": 2.0}


def served(arrived_s: float, wait_s: float, hold_s: float, predicted_s: float = 0.0, team: str = "light") -> Story:
    """The first token comes half way through its slot time."""
    dispatched_s = arrived_s + wait_s
    first_s = dispatched_s + hold_s / 2
    answer = Answered(team=team, at_s=0.0, sent_s=arrived_s, status=200, first_s=first_s, end_s=dispatched_s + hold_s)
    return Story(
        team=team,
        arrived_s=arrived_s,
        prompt_tokens=30,
        promise_s=2.0,
        answer=answer,
        waited=wait_s > 0,
        wait_s=predicted_s,
        likely_s=1.5 * predicted_s,
        p90_s=3 * predicted_s,
        dispatched_s=dispatched_s,
        began_s=first_s,
        ended_s=dispatched_s + hold_s,
    )


def turned_away(arrived_s: float, after_s: float) -> Story:
    answer = Answered(team="light", at_s=0.0, sent_s=arrived_s, status=429, end_s=arrived_s + after_s)
    return Story(
        team="light",
        arrived_s=arrived_s,
        prompt_tokens=30,
        promise_s=2.0,
        answer=answer,
        waited=after_s > 0,
        wait_s=1.0,
        likely_s=1.5,
        refused_s=arrived_s + after_s,
        reason="deadline_unreachable",
    )


def block(*found: Story) -> Block:
    return Block(
        plan=Plan(queue="corral", load=1.2, round=0, loads={"light": 0.3}, seconds=100.0, warm_up_s=0.0),
        capacity=Capacity({"light": 4.0, "flood": 2.0}),
        from_s=0.0,
        until_s=100.0,
        answers=[each.answer for each in found if each.answer],
        stories=list(found),
        tape=[{"kind": "arrived", "micros": 40.0}, {"kind": "tick", "micros": 10.0}, {"kind": "waits"}],
        cpu_share={"gateway": 0.1},
        steal_percent=0.5,
    )


def test_a_refusal_keeps_no_promise() -> None:
    figure = in_time([block(served(1, 0, 1), served(2, 5, 1), turned_away(3, 0))], "light", PROMISES_S)
    assert (figure.value, figure.count) == (pytest.approx(1 / 3), 3)


def test_wasted_is_the_slot_time_of_answers_that_came_too_late() -> None:
    figure = wasted([block(served(1, 0, 3), served(2, 5, 1), turned_away(3, 0))])
    assert figure.value == pytest.approx(1 / 4)


def test_slot_time_that_nobody_stayed_for_is_wasted() -> None:
    left = served(1, 0, 1)
    left.ended_s, left.left_s = None, 2.0
    assert wasted([block(left)]).value == 1.0


def test_late_refusals_and_waits() -> None:
    found = block(served(1, 0, 1), served(2, 1.0, 1, 0.8), served(3, 1.0, 1, 0.4), turned_away(4, 0), turned_away(5, 2))
    waited = waits([found])
    assert len(waited) == 3
    assert [each.refused_late for each in refused([found])] == [False, True]
    assert coverage(waited).value == pytest.approx(1 / 3)  # 1.0 <= 1.2; not 1.0 <= 0.6; the one turned away is outside
    assert bias(waited).value == pytest.approx((1.2 + 1.0) / (2.0 + 2.0) - 1)  # so long at least did the last one wait


def test_who_still_waits_at_the_end_tells_nothing() -> None:
    waiting = served(99, 5, 1, 1.0)
    assert waits([block(waiting)]) == []


def test_a_cell_has_every_figure() -> None:
    told = rounded(cell([block(served(1, 0, 2), served(2, 1, 2, 1.0, team="flood"))], PROMISES_S))
    assert told["in_time"]["light"]["value"] == 1.0
    assert told["in_time"]["flood"]["value"] == 1.0
    assert told["utilisation"] == 0.01
    assert told["served_over_capacity"] == pytest.approx((1 / 4 + 1 / 2) / 100)
    assert told["decisions_us"] == {"n": 2, "p50": 40.0, "p99": 40.0, "arrival_p50": 40.0, "arrival_p99": 40.0}
    assert told["waits"]["all"]["n"] == 1
    assert told["waits"]["flood"]["bias"]["value"] == 0.0
    assert told["waits"]["light"]["bias"]["n"] == 0
    assert told["refusals"]["late"]["n"] == 0


def test_a_pool_of_four_slots_is_judged_by_the_median() -> None:
    assert judged_quantile() == 0.5
