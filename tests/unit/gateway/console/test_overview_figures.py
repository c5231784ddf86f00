import json
import math

import msgspec

from gateway.console.overview_figures import (
    MAX_TEAMS,
    Endings,
    Figures,
    endings_of,
    figure_texts,
    figures_of,
    key_set_rows,
    live_document,
    refusal_rows,
    team_cells,
    teams_of,
)
from gateway.console.page_filters import NOTHING
from policies.admitting.queue_view import QueueView, TargetView, TeamView
from policies.audit_record import Actor
from policies.certificates.tls_expiry import FileEnd
from policies.console.last_hour import OTHERS, Ended, HourView, LastHour
from policies.console.viewer import Viewer
from policies.credentials.key_expiry import KeyEnd


def viewer(*teams: str) -> Viewer:
    own = frozenset(teams) if teams else None
    return Viewer(person="p", actor=Actor(), role="auditor", teams=own, session="s")


def team(name: str, *, waiting: int = 0, running: int = 0, ratio: float = 1.0) -> TeamView:
    return TeamView(
        name=name,
        band="standard",
        weight=1.0,
        waiting=waiting,
        running=running,
        backlog_slot_s=0.0,
        share=0.25,
        due=0.5,
        counter=0.0,
        predicted_wait_s=3.0 * waiting,
        p90_wait_s=90.0,
        actual_wait_s=2.0,
        coverage=0.9,
        predicted_ratio=ratio,
    )


def target(*, ready: bool) -> TargetView:
    return TargetView(id="t", slots=4, running=3, ready=ready)


QUEUE = QueueView(
    teams=(team("a", running=2), team("b", waiting=5, running=1)),
    pools=(),
    targets=(target(ready=True), target(ready=False)),
    waiting=6,
    running=4,
    bookings=0,
    admitted=0,
    refused=0,
    refused_late=0,
)
ENDS = Endings(
    keys_ending=lambda: (KeyEnd("k1", "a", 900.0), KeyEnd("k2", "b", 20.0)),
    files=lambda: (FileEnd("certificate", 1_100.0), FileEnd("client_crl", 990.0)),
    key_sets=lambda: {"idp": math.inf, "ci": 5.0},
)


def hour() -> HourView:
    found = LastHour()
    found.ended(Ended(team="a", output_tokens=100), 0)
    found.ended(Ended(team="b", refused="queue_full"), 0)
    found.ended(Ended(team=OTHERS, refused="unknown"), 0)
    return found.shown(None, 10)


def test_who_sees_all_teams_is_told_the_whole() -> None:
    found = figures_of(viewer(), QUEUE, hour())
    assert found == Figures(running=4, waiting=6, slots=4, longest_wait_s=15.0, output_tokens_per_s=10.0, refusals=2)
    assert figure_texts(found) == {
        "running": "4 / 4",
        "waiting": "6",
        "longest_wait": "15 s",
        "output_tokens": "10",
        "refusals": "2",
    }


def test_who_sees_one_team_is_told_its_part_and_no_slots() -> None:
    found = figures_of(viewer("a"), QUEUE, hour())
    assert (found.running, found.waiting, found.slots, found.longest_wait_s) == (2, 0, None, 0.0)
    assert figure_texts(found)["running"] == "2"
    assert figures_of(viewer("gone"), QUEUE, hour()).longest_wait_s == 0.0


def test_teams_that_wait_most_come_first_and_rows_are_bounded() -> None:
    assert [each.name for each in teams_of(viewer(), QUEUE)] == ["b", "a"]
    many = msgspec.structs.replace(QUEUE, teams=tuple(team(f"t{number}") for number in range(MAX_TEAMS + 1)))
    assert len(teams_of(viewer(), many)) == MAX_TEAMS


def test_what_no_wait_has_shown_is_a_dash() -> None:
    cells = team_cells(team("a", waiting=1, ratio=0.0))
    assert cells == ("a", "standard", "1", "0", "25%", "50%", "3 s", "1 min 30 s", NOTHING, NOTHING)
    assert team_cells(team("a"))[-2:] == ("2 s", "90%")


def test_refusals_beyond_the_bound_have_a_name() -> None:
    found = LastHour()
    found.ended(Ended(team="a", refused="x"), 0)
    view = msgspec.structs.replace(found.shown(None, 10), refused={"x": 2, OTHERS: 1})
    assert refusal_rows(view) == [("x", 2), ("...", 1)]


def test_what_ends_comes_in_order_and_certificates_are_for_who_sees_all() -> None:
    found = endings_of(viewer(), ENDS, 1_000.0)
    assert [(each.kind, each.left_s) for each in found] == [
        ("client_crl", -10.0),
        ("key", 20.0),
        ("certificate", 100.0),
        ("key", 900.0),
    ]
    assert [each.name for each in endings_of(viewer("a"), ENDS, 1_000.0)] == ["k1"]


def test_key_sets_are_for_who_sees_all() -> None:
    assert key_set_rows(viewer(), ENDS) == [("ci", 5.0), ("idp", math.inf)]
    assert key_set_rows(viewer("a"), ENDS) == []


def test_the_live_document_is_json_and_says_nothing_of_other_teams() -> None:
    found = LastHour()
    found.ended(Ended(team="b", refused="queue_full"), 0)
    shown = found.shown(frozenset({"a"}), 10)
    text = msgspec.json.encode(live_document(viewer("a"), QUEUE, shown, 1_000.0))
    document = json.loads(text)
    assert set(document) == {"now_s", "hour", "figures", "teams"}
    assert [row[0] for row in document["teams"]] == ["a"]
    assert b"queue_full" not in text
