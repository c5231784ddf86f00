import pytest

from policies.console.hour_rows import STEPS_A_ROW, hour_rows, last_minute
from policies.console.last_hour import STEP_S, Ended, LastHour, Look, TeamLook


def hour_of(steps: int) -> LastHour:
    hour = LastHour()
    for step in range(steps):
        at_s = step * STEP_S
        hour.looked(Look(slots=2, teams=(TeamLook("a", step, 1),)), at_s)
        hour.ended(Ended(team="a", output_tokens=20, refused="queue_full"), at_s)
    return hour


def test_there_are_no_rows_of_nothing() -> None:
    assert hour_rows(LastHour().shown(None, 1_000)) == ()


def test_the_newest_row_is_full_and_comes_first() -> None:
    steps = 2 * STEPS_A_ROW + 7
    rows = hour_rows(hour_of(steps).shown(None, steps * STEP_S))
    assert [row.age_s for row in rows] == [300, 600, 670]
    assert [row.waiting for row in rows] == [66, 36, 6]
    assert [row.refusals for row in rows] == [30, 30, 7]
    assert {(row.running, row.slots, row.output_tokens_per_s, row.prompt_tokens_per_s) for row in rows} == {
        (1, 2, 2, 0)
    }


def test_waits_are_means_over_requests() -> None:
    hour = LastHour()
    for waited_s in (1.0, 1.0, 1.0):
        hour.ended(Ended(team="a", foretold_s=2.0, waited_s=waited_s), 0)
    hour.ended(Ended(team="a", foretold_s=6.0, waited_s=9.0), 10)
    (row,) = hour_rows(hour.shown(None, 20))
    assert (row.foretold_s, row.waited_s) == (3.0, 3.0)


def test_what_no_step_knows_the_row_does_not_know() -> None:
    hour = LastHour()
    hour.ended(Ended(team="a"), 0)
    (row,) = hour_rows(hour.shown(None, 10))
    assert (row.waiting, row.running, row.slots, row.foretold_s, row.waited_s) == (None,) * 5


@pytest.mark.parametrize(("values", "mean"), [((), 0.0), ((4.0,), 4.0), ((99.0, *(6.0,) * 6), 6.0)])
def test_the_last_minute_is_six_steps(values: tuple[float, ...], mean: float) -> None:
    assert last_minute(values) == mean
