from hypothesis import given, settings
from hypothesis import strategies as st

from policies.console.last_hour import (
    MAX_REASONS,
    MAX_TEAMS,
    OTHERS,
    SHOWN_TEAMS,
    STEP_S,
    STEPS,
    Ended,
    HourView,
    LastHour,
    Look,
    TeamLook,
)


def look(**waiting: int) -> Look:
    return Look(slots=4, teams=tuple(TeamLook(name, count, 1) for name, count in waiting.items()))


def shown(hour: LastHour, now_s: float, teams: frozenset[str] | None = None) -> HourView:
    return hour.shown(teams, now_s)


def test_before_anything_happened_there_are_no_steps() -> None:
    view = shown(LastHour(), 1_000)
    assert (view.ages_s, view.waiting, view.refused, view.waiting_by_team) == ((), (), {}, {})


def test_the_step_that_runs_is_not_shown_yet() -> None:
    hour = LastHour()
    hour.looked(look(a=3), 1_000)
    assert shown(hour, 1_009).ages_s == ()
    assert shown(hour, 1_010).waiting == (3,)


def test_a_step_has_the_most_at_any_look_and_what_ended_in_it() -> None:
    hour = LastHour()
    hour.looked(look(a=3, b=1), 1_000)
    hour.looked(look(a=1, b=2), 1_005)
    hour.ended(Ended(team="a", prompt_tokens=30, output_tokens=50, foretold_s=1.0, waited_s=2.0), 1_006)
    hour.ended(Ended(team="a", foretold_s=3.0, waited_s=3.0), 1_007)
    hour.ended(Ended(team="b", refused="queue_full"), 1_007)
    view = shown(hour, 1_012)
    assert (view.ages_s, view.waiting, view.running, view.slots) == ((12,), (4,), (2,), (4,))
    assert shown(hour, 1_012, frozenset({"a", "b", "c"})).waiting == (5,)
    assert (view.prompt_tokens_per_s, view.output_tokens_per_s) == ((3.0,), (5.0,))
    assert (view.foretold_s, view.waited_s, view.waits) == ((2.0,), (2.5,), (2,))
    assert (view.refusals, view.refused) == ((1,), {"queue_full": 1})
    assert view.waiting_by_team == {"a": (3,), "b": (2,)}


def test_a_step_without_a_look_says_nothing_of_the_queue() -> None:
    hour = LastHour()
    hour.looked(look(a=1), 1_000)
    hour.ended(Ended(team="a", output_tokens=10), 1_010)
    hour.looked(look(a=2), 1_020)
    view = shown(hour, 1_035)
    assert view.waiting == (1, None, 2)
    assert view.slots == (4, None, 4)
    assert view.output_tokens_per_s == (0.0, 1.0, 0.0)
    assert view.waiting_by_team == {"a": (1, None, 2)}


def test_a_quiet_time_has_empty_steps() -> None:
    hour = LastHour()
    hour.looked(look(), 1_000)
    view = shown(hour, 1_050)
    assert view.waiting == (0, None, None, None, None)
    assert (view.foretold_s, view.refusals) == ((None,) * 5, (0,) * 5)


def test_nothing_is_older_than_an_hour() -> None:
    hour = LastHour()
    for step in range(STEPS + 50):
        hour.looked(look(a=step), step * STEP_S)
    view = shown(hour, (STEPS + 50) * STEP_S)
    assert len(view.ages_s) == STEPS
    assert view.ages_s[0] == STEPS * STEP_S
    assert view.waiting[0] == 50
    assert shown(hour, 3 * STEPS * STEP_S).ages_s[0] == STEPS * STEP_S


def test_a_viewer_of_some_teams_sees_those_alone() -> None:
    hour = LastHour()
    hour.looked(look(a=3, b=4), 1_000)
    hour.ended(Ended(team="b", output_tokens=70, refused="queue_full"), 1_000)
    hour.ended(Ended(team=OTHERS, refused="unknown"), 1_000)
    view = shown(hour, 1_010, frozenset({"a"}))
    assert (view.waiting, view.running, view.slots) == ((3,), (1,), (None,))
    assert (view.output_tokens_per_s, view.refused, view.refusals) == ((0.0,), {}, (0,))
    assert view.waiting_by_team == {"a": (3,)}
    assert shown(hour, 1_010).refused == {"queue_full": 1, "unknown": 1}


def test_teams_beyond_the_bound_are_summed_up() -> None:
    hour = LastHour()
    for number in range(MAX_TEAMS + 40):
        hour.ended(Ended(team=f"t{number}", output_tokens=1), 1_000)
    assert shown(hour, 1_010).output_tokens_per_s == ((MAX_TEAMS + 40) / STEP_S,)
    assert shown(hour, 1_010, frozenset({f"t{MAX_TEAMS + 1}"})).output_tokens_per_s == (0.0,)


def test_reasons_beyond_the_bound_are_summed_up() -> None:
    hour = LastHour()
    for number in range(MAX_REASONS + 5):
        hour.ended(Ended(team="a", refused=f"reason_{number}"), 1_000)
    refused = shown(hour, 1_010).refused
    assert refused[OTHERS] == 5
    assert len(refused) == MAX_REASONS + 1


def test_the_teams_that_wait_most_are_shown() -> None:
    hour = LastHour()
    hour.looked(look(**{f"t{number:02}": number for number in range(20)}), 1_000)
    assert list(shown(hour, 1_010).waiting_by_team) == [f"t{number}" for number in range(19, 19 - SHOWN_TEAMS, -1)]


def test_a_clock_that_stands_still_or_jumps_back_counts_in_the_last_step() -> None:
    hour = LastHour()
    hour.ended(Ended(team="a", output_tokens=10), 1_000)
    hour.ended(Ended(team="a", output_tokens=10), 900)
    assert shown(hour, 1_010).output_tokens_per_s == (2.0,)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 8_000), st.sampled_from("abc"), st.integers(0, 50)), max_size=60))
def test_columns_are_of_one_length_and_lose_no_token_of_the_hour(events: list[tuple[int, str, int]]) -> None:
    hour = LastHour()
    events.sort()
    for at_s, team, tokens in events:
        hour.ended(Ended(team=team, output_tokens=tokens), at_s)
    now_s = 8_010.0
    view = shown(hour, now_s)
    columns = (view.waiting, view.running, view.slots, view.prompt_tokens_per_s, view.waited_s, view.refusals)
    assert {len(column) for column in columns} == {len(view.ages_s)}
    kept = sum(tokens for at_s, _, tokens in events if at_s // STEP_S >= now_s // STEP_S - STEPS)
    assert round(sum(view.output_tokens_per_s) * STEP_S) == kept
    each = [shown(hour, now_s, frozenset({team})).output_tokens_per_s for team in "abc"]
    assert round(sum(map(sum, each)) * STEP_S) == kept
