import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.progress import COMPUTING, MOST_LOOK_S, STEPS, Look, Progress, Totals, after_look, is_stuck, patience_s

BOUND_S = 30.0


def looked(*looks: Look, known: Progress | None = None) -> Progress:
    known = known or Progress()
    for look in looks:
        known = after_look(known, look)
    return known


def serving(elapsed_s: float = 5.0, steps: int | None = None, *, busy: bool = True, work: int | None = 7) -> Look:
    totals = None if steps is None else Totals(steps, busy)
    return Look(elapsed_s=elapsed_s, totals=totals, work=work, serves=True)


def test_steps_and_idleness_are_progress() -> None:
    assert looked(serving(steps=1), serving(steps=2), serving(steps=3)).silent_s == 0.0
    assert looked(*[serving(steps=3, busy=False)] * 20).silent_s == 0.0


def test_a_busy_worker_that_makes_no_step_or_says_nothing_is_stuck_after_its_bound() -> None:
    for quiet in (serving(steps=3), serving()):
        known = looked(serving(steps=3), *[quiet] * 6)
        assert (known.silent_s, is_stuck(known, bound_s=BOUND_S, serves=True)) == (30.0, False)
        assert is_stuck(after_look(known, quiet), bound_s=BOUND_S, serves=True)


def test_one_that_computes_all_the_while_has_much_longer() -> None:
    looks = [serving(work=number) for number in range(60)]
    known = looked(serving(steps=3), *looks)
    assert not is_stuck(known, bound_s=BOUND_S, serves=True)
    assert is_stuck(after_look(known, serving(work=999)), bound_s=BOUND_S, serves=True)
    assert is_stuck(after_look(known, serving(work=59)), bound_s=BOUND_S, serves=True), "it has stopped computing"


def test_where_nothing_can_be_read_it_is_taken_to_compute() -> None:
    known = looked(serving(steps=3), *[serving(work=None)] * 8)
    assert patience_s(known, bound_s=BOUND_S, serves=True) == BOUND_S * COMPUTING


def test_the_longest_step_that_ended_well_lengthens_the_bound() -> None:
    known = looked(serving(steps=1), *[serving(work=number) for number in range(8)], serving(steps=2))
    assert known.longest_s == 45.0
    still = looked(*[serving()] * 36, known=known)
    assert patience_s(still, bound_s=BOUND_S, serves=True) == STEPS * 45.0
    assert not is_stuck(still, bound_s=BOUND_S, serves=True)
    assert is_stuck(after_look(still, serving()), bound_s=BOUND_S, serves=True)


def test_a_load_that_computes_or_reads_gets_on_and_one_that_stands_still_has_much_longer() -> None:
    reading = [Look(elapsed_s=5.0, work=number) for number in range(99)]
    known = looked(*reading)
    assert (known.silent_s, known.longest_s) == (0.0, 0.0)
    known = looked(*[Look(elapsed_s=5.0, work=98)] * 60, known=known)
    assert not is_stuck(known, bound_s=BOUND_S, serves=False)
    assert is_stuck(after_look(known, Look(elapsed_s=5.0, work=98)), bound_s=BOUND_S, serves=False)


def test_when_the_machine_stood_still_nobody_is_blamed() -> None:
    known = looked(serving(steps=1), serving(3600.0), serving(-5.0))
    assert known.silent_s == MOST_LOOK_S


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3), st.booleans(), st.booleans()), max_size=60))
def test_nobody_is_given_up_before_the_bound_has_passed(looks: list[tuple[float, int, bool, bool]]) -> None:
    known, since_s = Progress(), 0.0
    for elapsed_s, steps, busy, answers in looks:
        before = known
        known = after_look(known, serving(elapsed_s, steps if answers else None, busy=busy))
        since_s = 0.0 if answers and (not busy or steps != before.steps) else since_s + elapsed_s
        assert known.silent_s <= since_s + 1e-6
        assert not is_stuck(known, bound_s=BOUND_S, serves=True) or since_s > BOUND_S - 1e-6


@pytest.mark.parametrize("serves", [True, False])
def test_a_fresh_process_is_not_stuck(serves: bool) -> None:
    assert not is_stuck(Progress(), bound_s=BOUND_S, serves=serves)
