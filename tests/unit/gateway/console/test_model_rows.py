from typing import Any

from gateway.console.model_rows import model_rows, other_processes, worker_rows
from policies.admitting.queue_view import TargetView
from policies.audit_record import Actor
from policies.console.viewer import Viewer
from policies.policy import Team
from tests.fakes import card

TEAMS = {"one": Team(models=("m",)), "two": Team(models=("*",))}
CARDS = (card("m:latest"), card("big:latest"), card("tuned:latest", parent="big:latest"))
RESIDENCES = [
    {"process": "worker-0", "model": "m:latest", "state": "loaded"},
    {"process": "worker-1", "model": "big:latest", "state": "held"},
]
PROCESSES = [
    {"process": "worker-1", "state": "quarantined", "deaths": {"signal": 2, "memory": 1}, "cause": "killed"},
    {"process": "preparer-0", "state": "serving", "deaths": {}, "cause": ""},
]
TARGETS = (
    TargetView(id="pool:worker-0", slots=4, running=1, ready=True, models=("m:latest",)),
    TargetView(id="up", slots=2, running=2, ready=True, models=("m:latest", "big:latest")),
    TargetView(id="pool:worker-1", slots=4, running=0, ready=False, models=("big:latest",)),
)
HELD = {"pool:worker-1": "back_door_open"}


def viewer(*teams: str) -> Viewer:
    own = frozenset(teams) if teams else None
    return Viewer(person="p", actor=Actor(), role="auditor", teams=own, session="s")


def rows(*teams: str) -> Any:
    return model_rows(CARDS, TEAMS, viewer(*teams), RESIDENCES, TARGETS, HELD)


def test_who_sees_all_teams_sees_all_models_by_name() -> None:
    found = rows()
    assert [row.card.name for row in found] == ["big:latest", "m:latest", "tuned:latest"]
    assert [row.teams for row in found] == [("two",), ("one", "two"), ("two",)]


def test_a_model_that_no_team_may_use_is_shown_to_those_alone() -> None:
    alone = {"one": TEAMS["one"]}
    assert len(model_rows(CARDS, alone, viewer(), RESIDENCES, TARGETS, HELD)) == 3
    assert [row.card.name for row in model_rows(CARDS, alone, viewer("one"), RESIDENCES, TARGETS, HELD)] == ["m:latest"]


def test_a_viewer_of_a_team_sees_its_models_and_nothing_of_other_teams() -> None:
    (row,) = rows("one")
    assert (row.card.name, row.teams, row.states) == ("m:latest", ("one",), ("loaded",))
    assert [each["worker"]["process"] for each in worker_rows(RESIDENCES, PROCESSES, [row])] == ["worker-0"]


def test_a_row_has_its_targets_and_why_others_are_away() -> None:
    big, small, tuned = rows()
    assert (small.targets, small.away) == (("pool:worker-0", "up"), ())
    assert (small.running, small.slots) == (3, 6)
    assert (big.targets, big.away, big.states) == (("up",), (("pool:worker-1", "back_door_open"),), ("held",))
    assert (tuned.targets, tuned.states) == (big.targets, big.states)


def test_a_worker_has_its_deaths() -> None:
    first, second = worker_rows(RESIDENCES, PROCESSES, rows())
    assert (first["died"], first["process"]["state"]) == (0, "")
    assert (second["died"], second["process"]["cause"]) == (3, "killed")


def test_other_processes_are_those_that_are_no_workers() -> None:
    (other,) = other_processes(RESIDENCES, PROCESSES)
    assert (other["process"], other["died"]) == ("preparer-0", 0)
