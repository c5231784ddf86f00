"""Promises that no pool keeps, as complaints."""

from typing import Any

import pytest

from gateway.doctor.promise_check import FEWEST_SAMPLES, promise_complaints
from policies.admitting.queue_view import PoolView
from policies.policy import Policy, Team
from tests.unit.gateway.queue_views import pool_view

SLOW = pool_view("slow:latest", first_token_s_per_token=0.01, prompt_tokens=400.0)
FAST = pool_view("fast:latest")


def told(*pools: PoolView, **team: Any) -> list[str]:
    values = {"models": ("*",), "first_token_s": 2.0, **team}
    return [each.line for each in promise_complaints(pools, Policy(teams={"lab": Team(**values)}))]


def test_a_promise_below_the_time_of_a_mean_prompt() -> None:
    [line] = told(FAST, SLOW)
    assert line == (
        "promise: team lab is promised a first token within 2 s, and a prompt of 400 tokens, the mean of slow:latest, "
        "takes 4 s to it: such requests of the team are refused even when nobody else waits; raise "
        "teams.lab.first_token_s in policy.yaml, or give the team faster models only"
    )


def test_one_that_only_reports_says_so() -> None:
    [line] = told(SLOW, promise_mode="report")
    assert "are recorded as refused" in line


@pytest.mark.parametrize(
    ("pool", "team"),
    [
        (SLOW, {"first_token_s": None}),
        (SLOW, {"first_token_s": 4.0}),
        (SLOW, {"models": ("fast",)}),
        (pool_view("slow", first_token_s_per_token=0.01, samples=FEWEST_SAMPLES - 1), {}),
        (pool_view("slow", first_token_s_per_token=0.01, kind="embedding"), {}),
    ],
)
def test_what_is_no_complaint(pool: PoolView, team: dict[str, Any]) -> None:
    assert told(pool, **team) == []
