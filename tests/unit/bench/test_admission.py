"""Admission under simulated load, in a small size: what `make bench-admission` shows over three seeds, shown by one.

Seeded and without a clock, so these are figures of the code and not of the machine. Bounds are those of
`bench.admission.bounds`, with a little room where one seed stands for three.
"""

import pytest

from bench.admission.bounds import Bound, judge
from bench.admission.cells import CORRAL, POOL, RETRIES, SMALL, TWO_TEAMS, UNTOLD, Cell, Played, play
from bench.admission.shares import Shares, shares
from bench.admission.workload import TRACES, flood

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TRACES.is_dir(), reason="the recorded traces (../shared/traces) are not here"),
]
SEED = 2
SLACK = 0.01
"""Of a rate: about what single seeds lie apart."""


def played(scenario: str, load: float, policy: str = CORRAL) -> Played:
    return play(Cell(scenario=scenario, policy=policy, load=load, seeds=(SEED,)))


def shared(teams: tuple[float, float]) -> tuple[str, Shares]:
    a, b = teams
    return f"{a:g}:{b:g}", shares({"a": (a, flood), "b": (b, flood)}, POOL, minutes=20.0)


def missed(bounds: list[Bound]) -> list[str]:
    assert bounds
    return [bound.line() for bound in bounds if not bound.holds_within(SLACK)]


@pytest.mark.parametrize("load", [0.8, 1.2, 2.0])
def test_the_light_team_is_served_little_is_wasted_and_refusals_come_early(load: float) -> None:
    assert missed(judge([played(TWO_TEAMS, load)], [])) == []


@pytest.mark.parametrize("load", [0.8, 1.2, 2.0])
def test_who_comes_back_when_told_is_served_then(load: float) -> None:
    assert missed(judge([played(RETRIES, load), played(RETRIES, load, UNTOLD)], [])) == []


def test_a_small_pool_serves_the_light_team_too() -> None:
    assert missed(judge([played(SMALL, 2.0)], [])) == []


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0)])
def test_shares_of_backlogged_teams_follow_their_weights(weights: tuple[float, float]) -> None:
    assert missed(judge([], [shared(weights)])) == []


@pytest.mark.parametrize("policy", ["FIFO unbounded", "FIFO max-queue 512"])
def test_first_come_first_served_keeps_no_promise_under_overload(policy: str) -> None:
    run = played(TWO_TEAMS, 1.2, policy).runs[0]
    assert run.goodput < 0.1
    assert run.waste > 0.9


@pytest.mark.parametrize(
    ("policy", "goodput", "light", "waste"),
    [("static reject at 16", 0.645, 0.859, 0.056), ("round robin + TTL 10 s", 0.667, 0.979, 0.161)],
)
def test_other_queues_come_out_as_published(policy: str, goodput: float, light: float, waste: float) -> None:
    run = played(TWO_TEAMS, 1.2, policy).runs[0]
    figures = (run.goodput, run.teams["light"].goodput, run.waste)
    assert figures == pytest.approx((goodput, light, waste), abs=0.06)
