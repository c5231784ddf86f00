"""The queues that others run, each by the rule it is known for."""

from collections.abc import Iterable
from itertools import pairwise

import pytest

from bench.admission.baselines import BASELINES, Baseline, Fifo, LifoCodel, RoundRobin, StaticLimit
from gateway.simulating.arrivals import Arrival
from gateway.simulating.client_rules import ClientRules
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.outcome import Outcome
from gateway.simulating.simulator import Simulation

ONE_SLOT = EngineModel(workers=1, slots=1, decode_s=(0.0, 0.1))


def run(policy: Baseline, rows: Iterable[tuple[float, int] | tuple[float, int, str]]) -> list[Outcome]:
    """Rows are seconds, output tokens (a tenth of a second each), and a team."""
    arrivals = [
        Arrival(at_s=row[0], team=row[2] if len(row) > 2 else "a", prompt_tokens=0, output_tokens=row[1])
        for row in rows
    ]
    outcomes = Simulation(policy, ONE_SLOT, rules=ClientRules(patience_s=600.0)).run(arrivals)
    return sorted(outcomes, key=lambda one: one.number)


def ends(outcomes: list[Outcome]) -> list[str]:
    return [one.end for one in outcomes]


def test_fifo_serves_in_order_and_refuses_beyond_its_limit() -> None:
    rows = [(0.0, 10), (0.1, 10), (0.2, 10), (0.3, 10)]
    assert [one.started_s for one in run(Fifo(), rows)] == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert ends(run(Fifo(1), rows)) == ["served", "served", "refused", "refused"]


def test_static_limit_counts_those_in_service() -> None:
    assert ends(run(StaticLimit(2), [(0.0, 10), (0.1, 10), (0.2, 10), (1.5, 10)])) == [
        "served",
        "served",
        "refused",
        "served",
    ]


def test_lifo_codel_serves_the_newest_once_crowded_and_drops_the_stale() -> None:
    outcomes = run(LifoCodel(), [(0.0, 120), (0.1, 10), (11.4, 10), (11.9, 10)])
    assert ends(outcomes) == ["served", "refused_late", "refused_late", "served"]
    calm = run(LifoCodel(), [(0.0, 50), (0.1, 10), (0.2, 10)])
    assert [one.started_s for one in calm] == pytest.approx([0.0, 5.0, 6.0])


def test_round_robin_takes_the_teams_in_turn_a_new_one_last_and_drops_after_its_time() -> None:
    rows = [(0.0, 10, "a"), (0.1, 10, "a"), (0.2, 10, "a"), (0.3, 10, "b"), (0.4, 200, "b"), (0.5, 10, "a")]
    outcomes = run(RoundRobin(ttl_s=10.0), rows)
    order = sorted((one for one in outcomes if one.started_s is not None), key=lambda one: one.started_s or 0.0)
    assert [one.arrival.team for one in order] == ["a", "a", "b", "a", "b"]
    assert ends(outcomes)[-1] == "refused_late"


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_callers_who_leave_are_forgotten(name: str) -> None:
    policy = BASELINES[name]()
    rows = [Arrival(at_s=0.1 * n, team="a", prompt_tokens=0, output_tokens=50) for n in range(30)]
    outcomes = Simulation(policy, ONE_SLOT, rules=ClientRules(patience_s=4.0)).run(rows)
    assert sorted(one.number for one in outcomes) == list(range(30))
    held = sorted((one.started_s, one.ended_s) for one in outcomes if one.started_s is not None)
    assert all(later[0] >= earlier[1] for earlier, later in pairwise(held))
