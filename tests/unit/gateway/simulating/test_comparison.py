"""Invariant: one trace under two policies differs by the policies alone, and is the same each time."""

import pytest

from gateway.simulating.arrivals import Arrival
from gateway.simulating.comparison import SLICES, Chance, Played, Side, play, yardsticks_s
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.team_terms import UnknownTerms
from policies.policy import Policy, Team

POOL = EngineModel(workers=1, slots=2)
FLOODED = sorted(
    [Arrival(at_s=2.5 * n, team="light", prompt_tokens=100, output_tokens=20) for n in range(80)]
    + [Arrival(at_s=1.0 * n, team="flood", prompt_tokens=300, output_tokens=120) for n in range(200)],
    key=lambda each: each.at_s,
)
ONCE = Chance(1)
YARDSTICKS = {"flood": 5.0}


def played(*, chance: Chance = ONCE, **terms: object) -> Played:
    policy = Policy(teams={name: Team(models=("*",), **terms) for name in ("light", "flood")})
    return play(Side("p", policy), FLOODED, POOL, chance, yardsticks_s=YARDSTICKS, watch=lambda _: None)


def test_a_promise_keeps_the_waits_of_the_served_short() -> None:
    free, bound = played(), played(first_token_s=5)
    assert free.promises_s == {"flood": None, "light": None}
    assert bound.promises_s == {"flood": 5, "light": 5}
    assert bound.figures.teams["flood"].p99_wait_s < free.figures.teams["flood"].p99_wait_s
    assert bound.figures.teams["flood"].p99_wait_s <= 5
    assert bound.figures.teams["flood"].refused > 0


def test_one_yardstick_measures_all() -> None:
    free, bound = played(), played(first_token_s=5)
    assert list(free.within) == ["flood"]
    assert free.within["flood"] < bound.within["flood"] == bound.figures.teams["flood"].goodput
    assert yardsticks_s(Policy(teams={"a": Team(), "b": Team(first_token_s=3)})) == {"b": 3}


def test_all_callers_count() -> None:
    found = played(first_token_s=5)
    assert {name: team.callers for name, team in found.figures.teams.items()} == {"flood": 200, "light": 80}
    assert all(len(course.kept) == SLICES for course in found.courses.values())


def test_the_seed_decides_all_chance() -> None:
    chance = Chance(7, retries=2)
    assert played(first_token_s=5, chance=chance) == played(first_token_s=5, chance=chance)


def test_time_is_told_while_it_passes() -> None:
    times: list[float] = []
    side = Side("p", Policy(teams={"light": Team()}))
    play(side, [each for each in FLOODED if each.team == "light"], POOL, Chance(1), yardsticks_s={}, watch=times.append)
    assert times == sorted(times)
    assert times[-1] > 190


def test_a_policy_without_the_team_is_not_played() -> None:
    with pytest.raises(UnknownTerms, match=r"^new\.yaml: it has no team 'flood'"):
        play(
            Side("new.yaml", Policy(teams={"light": Team()})),
            FLOODED,
            POOL,
            Chance(1),
            yardsticks_s=YARDSTICKS,
            watch=lambda _: None,
        )
