"""What a policy may say, value by value."""

from typing import Any

import pytest

from policies.policy import Limits, Policy, Team


def test_a_team_uses_what_its_list_names() -> None:
    assert Team(models=("*",)).may_use("any:latest")
    assert Team(models=("a:latest",)).may_use("a:latest")
    assert not Team(models=("a:latest",)).may_use("b:latest")
    assert not Team().may_use("a:latest")
    assert Team(models=("A", "b:8B")).may_use("a:latest")
    assert Team(models=("A", "b:8B")).may_use("b:8b")
    assert not Team(models=("b",)).may_use("b:8b")


@pytest.mark.parametrize("values", [{"requests_per_minute": 0}, {"burst_requests": 0}, {"concurrent_requests": 0}])
def test_limits_below_one_are_faults(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(**values)


def test_no_limit_is_allowed() -> None:
    assert Limits(requests_per_minute=None, concurrent_requests=None).requests_per_minute is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"weight": 0}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"max_queued": 0}, "max_queued"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_wait_s": 0}, "max_wait_s"),
        ({"max_answer_s": 0}, "max_answer_s"),
    ],
)
def test_team_values_out_of_range_are_faults(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Team(**values)


@pytest.mark.parametrize("name", ["", "Team", "a b", "-a", "a" * 64])
def test_team_names_are_plain(name: str) -> None:
    with pytest.raises(ValueError, match="team name"):
        Policy(teams={name: Team()})


def test_the_whole_queue_has_a_bound() -> None:
    with pytest.raises(ValueError, match="max_queued"):
        Policy(teams={"a": Team()}, max_queued=0)
