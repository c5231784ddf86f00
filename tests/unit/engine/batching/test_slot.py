"""Where a request goes, what it starts from, whom it waits for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batching.slot import (
    MOST_MOVED,
    WORTH_WAITING_TOKENS,
    Leader,
    Placement,
    Prefix,
    Slot,
    SlotState,
    common_prefix_tokens,
    find_leader,
    longest_prefix,
    place,
)


def ids(*tokens: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(tokens, np.int32)


def slot(
    index: int, tokens: list[int], state: SlotState = SlotState.IDLE, *, scope: str = "a", used: int = 0,
    cached: int | None = None,
) -> Slot:  # fmt: skip
    made = Slot(index, 512)
    made.tokens[: len(tokens)] = tokens
    made.known = len(tokens)
    made.cached = len(tokens) if cached is None else cached
    made.state, made.scope, made.last_used = state, scope, used
    return made


@given(left=st.lists(st.integers(0, 2), max_size=8), right=st.lists(st.integers(0, 2), max_size=8))
def test_common_prefix(left: list[int], right: list[int]) -> None:
    count = common_prefix_tokens(ids(*left), ids(*right))

    assert left[:count] == right[:count]
    assert count == min(len(left), len(right)) or left[count] != right[count]


def test_an_idle_slot_runs_nothing() -> None:
    with pytest.raises(LookupError, match="slot 3 is idle"):
        _ = Slot(3, 8).running


def test_a_busy_slot_names_its_request() -> None:
    busy = Slot(0, 8)
    busy.request = marker = object()  # type: ignore[assignment]

    assert busy.running is marker


def test_the_longest_prefix_of_the_same_scope() -> None:
    slots = [slot(0, [1, 2]), slot(1, [1, 2, 3]), slot(2, [1, 2, 3, 4], scope="b"), slot(3, [1, 2, 3])]

    assert longest_prefix(slots, ids(1, 2, 3, 4, 5), "a") == Prefix(1, 3)
    assert longest_prefix(slots, ids(1, 2, 3, 4, 5), "b") == Prefix(2, 4)
    assert longest_prefix(slots, ids(1, 2, 3, 4, 5), "c") is None
    assert longest_prefix(slots, ids(9, 9), "a") is None


def test_the_last_token_is_computed_even_if_all_are_known() -> None:
    assert longest_prefix([slot(0, [1, 2, 3])], ids(1, 2, 3), "a") == Prefix(0, 2)
    assert longest_prefix([slot(0, [1])], ids(1), "a") is None


def test_only_tokens_in_memory_count() -> None:
    assert longest_prefix([slot(0, [1, 2, 3, 4], cached=2)], ids(1, 2, 3, 4), "a") == Prefix(0, 2)
    assert longest_prefix([slot(0, [1, 2], cached=0)], ids(1, 2), "a") is None


def test_all_slots_busy() -> None:
    assert place([slot(0, [1], SlotState.DECODE), slot(1, [1], SlotState.WAITING)], ids(1, 2), "a") is None


def test_stay_where_the_prefix_is() -> None:
    slots = [slot(0, []), slot(1, [1, 2, 3, 4])]

    assert place(slots, ids(1, 2, 9), "a") == Placement(1, Prefix(1, 2))


def test_do_not_destroy_most_of_a_longer_one() -> None:
    slots = [slot(0, [], used=5), slot(1, [1, 2, 3, 4, 5])]

    assert place(slots, ids(1, 2, 9), "a") == Placement(0, Prefix(1, 2))


def test_an_empty_slot_before_the_one_unused_for_longest() -> None:
    busy = slot(0, [1, 2, 3], SlotState.DECODE)

    assert place([busy, slot(1, [7], used=1), slot(2, [], used=9)], ids(1, 2, 9), "a") == Placement(2, Prefix(0, 2))
    assert place([busy, slot(1, [7], used=4), slot(2, [8], used=3)], ids(5, 5), "a") == Placement(2, None)


def test_without_reuse_nothing_is_looked_at() -> None:
    slots = [slot(0, [1, 2, 3]), slot(1, [1] * 100, SlotState.PREFILL, cached=0)]

    assert place(slots, ids(*[1] * 100, 2), "a", reuses_prefixes=False) == Placement(0, None)


def test_wait_for_a_slot_that_computes_much_more_of_the_prompt() -> None:
    prompt = [7] * 100
    computing = slot(0, prompt, SlotState.PREFILL, cached=10)

    assert find_leader([computing], ids(*prompt, 1), "a", 0) == Leader(0, 100, None)
    assert find_leader([computing], ids(*prompt, 1), "b", 0) is None
    assert find_leader([computing], ids(*prompt, 1), "a", 100 - WORTH_WAITING_TOKENS + 1) is None
    assert find_leader([slot(0, prompt, SlotState.PREFILL, cached=90)], ids(*prompt, 1), "a", 0) is None
    assert find_leader([slot(0, prompt, SlotState.DECODE)], ids(*prompt, 1), "a", 0) is None
    assert place([computing, slot(1, [])], ids(*prompt, 1), "a") == Placement(1, Prefix(0, 10))


def test_of_two_leaders_the_longer() -> None:
    short, long = ([7] * 50, [7] * 60)
    slots = [slot(0, short, SlotState.PREFILL, cached=0), slot(1, long, SlotState.PREFILL, cached=0)]

    assert find_leader(slots, ids(*[7] * 80), "a", 0) == Leader(1, 60, None)
    assert find_leader(slots[::-1], ids(*[7] * 80), "a", 0) == Leader(1, 60, None)


def test_what_lies_in_cells_comes_before_what_lies_outside_unless_that_is_longer() -> None:
    outside, inside = slot(0, [1, 2, 3, 4]), slot(1, [1, 2, 3])
    outside.is_outside = True

    assert longest_prefix([outside, inside], ids(1, 2, 3, 9), "a") == Prefix(1, 3)
    assert longest_prefix([outside, inside], ids(1, 2, 3, 4, 9), "a") == Prefix(0, 4)
    assert longest_prefix([outside], ids(1, 2, 3, 4, 9), "b") is None


def test_much_outside_is_not_moved_for_a_few_tokens() -> None:
    outside = slot(0, [1, 2] + [3] * (2 * MOST_MOVED - 2))
    outside.is_outside = True

    assert longest_prefix([outside], ids(1, 2, 9), "a") == Prefix(0, 2)
    assert longest_prefix([outside], ids(1, 9, 9), "a") is None
