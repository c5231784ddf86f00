"""Invariant: whoever has work is computed after at most one bounded turn of each of the others."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batching.adapter_turns import (
    FIRST_COST_NS,
    MAX_COST_NS,
    MAX_TURN_NS,
    MAX_TURN_STEPS,
    MIN_TURN_STEPS,
    WORTH,
    AdapterTurns,
)

MS = 1_000_000


def run(
    turns: AdapterTurns, working: Sequence[str], steps: int, step_ns: int = 11 * MS, cost_ns: int = FIRST_COST_NS
) -> list[str]:
    """The adapters of so many steps, in which nothing ends; the first of a turn is longer by `cost_ns`."""
    chosen: list[str] = []
    for _ in range(steps):
        before = turns.current
        chosen.append(turns.choose(working))
        turns.stepped(step_ns + (cost_ns if chosen[-1] != before else 0), len(working))
    return chosen


def lengths(chosen: Sequence[str]) -> list[int]:
    """Steps of each turn."""
    found: list[int] = []
    for number, adapter in enumerate(chosen):
        if number and chosen[number - 1] == adapter:
            found[-1] += 1
        else:
            found.append(1)
    return found


def test_alone_it_goes_on() -> None:
    turns = AdapterTurns()
    assert set(run(turns, [""], 200)) == {""}
    assert set(run(turns, ["a"], 200)) == {"a"}
    assert turns.choose([]) == "a"  # nothing to compute is no reason to change


def test_a_turn_is_as_long_as_a_change_is_worth() -> None:
    chosen = run(AdapterTurns(), ["a", "b"], 60)
    assert lengths(chosen) == [6] * 10  # 18 ms and five times 11 ms: the first that take 10 times 7 ms


def test_turns_go_round_the_oldest_request_first() -> None:
    chosen = run(AdapterTurns(), ["c", "", "b"], 43)
    assert lengths(chosen) == [7, *[6] * 6]  # the bare model began without a change
    assert [chosen[number] for number in (0, *range(7, 43, 6))] == ["", "c", "b", "", "c", "b", ""]


def test_one_that_was_alone_for_long_gives_way_at_once() -> None:
    turns = AdapterTurns()
    run(turns, ["a"], 100)
    assert turns.choose(["a", "b"]) == "b"


def test_nothing_to_compute_ends_a_turn() -> None:
    turns = AdapterTurns()
    assert run(turns, ["a", "b"], 1) == ["a"]
    assert turns.choose(["b"]) == "b"
    assert turns.choose(["b", "a"]) == "b"


def test_a_long_step_ends_a_turn_of_few() -> None:
    assert lengths(run(AdapterTurns(), ["a", "b"], 4, step_ns=MAX_TURN_NS)) == [1] * 4


def test_short_steps_end_a_turn_of_many() -> None:
    assert lengths(run(AdapterTurns(), ["a", "b"], 3 * MAX_TURN_STEPS, step_ns=1)) == [MAX_TURN_STEPS] * 3


def change(turns: AdapterTurns, first_ns: int, second_ns: int, rows: tuple[int, int] = (4, 4)) -> None:
    """One turn of another adapter, whose first two steps take so long."""
    other = "b" if turns.current == "a" else "a"
    assert turns.choose([other]) == other
    turns.stepped(first_ns, rows[0])
    turns.choose([other])
    turns.stepped(second_ns, rows[1])


def test_what_a_change_costs_is_learnt() -> None:
    turns = AdapterTurns()
    for _ in range(100):
        change(turns, 31 * MS, 11 * MS)
    assert abs(turns.cost_ns - 20 * MS) < MS


@pytest.mark.parametrize(("first_ns", "second_ns", "learnt"), [(11 * MS, 31 * MS, 0), (10**12, MS, MAX_COST_NS)])
def test_a_stall_of_the_machine_teaches_no_nonsense(first_ns: int, second_ns: int, learnt: int) -> None:
    turns = AdapterTurns()
    for _ in range(200):
        change(turns, first_ns, second_ns)
    assert abs(turns.cost_ns - learnt) < MS


def test_steps_of_other_sizes_are_not_compared() -> None:
    turns = AdapterTurns()
    change(turns, 10**9, MS, rows=(300, 4))
    assert turns.cost_ns == FIRST_COST_NS


def test_where_a_change_costs_nothing_turns_are_still_no_flicker() -> None:
    turns = AdapterTurns()
    for _ in range(200):
        change(turns, MS, MS)
    chosen = run(turns, ["a", "b"], 40, step_ns=MS, cost_ns=0)
    assert set(lengths(chosen)[1:-1]) == {MIN_TURN_STEPS}


@given(
    steps=st.lists(
        st.tuples(st.sets(st.sampled_from(["", "a", "b", "c", "d"]), min_size=1), st.integers(1, 2 * MAX_TURN_NS)),
        max_size=200,
    )
)
def test_nobody_with_work_is_passed_over_for_longer_than_a_turn_of_each_other(
    steps: list[tuple[set[str], int]],
) -> None:
    turns, waited = AdapterTurns(), dict.fromkeys(["", "a", "b", "c", "d"], 0)
    for working, step_ns in steps:
        chosen = turns.choose(sorted(working))
        assert chosen in working
        turns.stepped(step_ns, len(working))
        for adapter in waited:
            waited[adapter] = 0 if adapter == chosen or adapter not in working else waited[adapter] + 1
            assert waited[adapter] <= 4 * MAX_TURN_STEPS


@given(step_ns=st.integers(MS, MAX_TURN_NS), cost_ns=st.integers(0, MAX_COST_NS))
def test_changes_take_a_bounded_share_of_the_time(step_ns: int, cost_ns: int) -> None:
    """Unless the bound on a turn says otherwise, which then is the reason."""
    turns = AdapterTurns()
    turns.cost_ns = cost_ns
    turn_ns = lengths(run(turns, ["a", "b"], 4 * MAX_TURN_STEPS, step_ns, cost_ns))[0] * step_ns + cost_ns
    assert turn_ns >= min(WORTH * cost_ns, MAX_TURN_NS, MAX_TURN_STEPS * step_ns)
