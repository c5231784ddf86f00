"""The plan of a step, and the arrays it is written to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.batching.batch import Batch, plan_prefill


def test_the_oldest_goes_first() -> None:
    assert plan_prefill([(2, 100), (0, 300), (1, 300)], 512) == [(2, 100), (0, 300), (1, 112)]
    assert plan_prefill([(2, 512), (0, 1)], 512) == [(2, 512)]


def test_nothing_to_read_or_no_budget_is_an_empty_plan() -> None:
    assert plan_prefill([], 8) == plan_prefill([(1, 5)], 0) == plan_prefill([(1, 5)], -3) == []


@given(remaining=st.lists(st.integers(1, 3000), max_size=16), budget=st.integers(0, 1024))
def test_a_plan_fits_and_wastes_nothing(remaining: list[int], budget: int) -> None:
    plan = plan_prefill(list(enumerate(remaining)), budget)

    assert [slot for slot, _ in plan] == list(range(len(plan)))
    assert all(0 < rows <= remaining[slot] for slot, rows in plan)
    assert sum(rows for _, rows in plan) == min(sum(remaining), budget)


def test_rows_are_laid_out_one_after_another() -> None:
    batch = Batch(8, 4)
    batch.wants_result[:] = 1  # left over from the step before
    one = batch.add(2, np.array([7], np.int32), 5, results="last")
    more = batch.add(0, np.array([1, 2, 3], np.int32), 0, results="none")
    last = batch.add(1, np.array([4, 5], np.int32), 9, results="last")

    assert (one, more, last, batch.rows) == (0, 3, 5, 6)
    assert batch.token[:6].tolist() == [7, 1, 2, 3, 4, 5]
    assert batch.position[:6].tolist() == [5, 0, 1, 2, 9, 10]
    assert batch.sequence_ids[:6].tolist() == [2, 0, 0, 0, 1, 1]
    assert batch.wants_result[:6].tolist() == [1, 0, 0, 0, 0, 1]
    assert len(set(batch.sequence[:6].tolist())) == 3


def test_all_rows_may_want_results_and_clearing_begins_anew() -> None:
    batch = Batch(4, 1)
    batch.add(0, np.array([1, 2], np.int32), 0, results="all")
    assert batch.wants_result[:2].tolist() == [1, 1]
    batch.clear()
    assert batch.add(0, np.array([3], np.int32), 2, results="last") == 0
