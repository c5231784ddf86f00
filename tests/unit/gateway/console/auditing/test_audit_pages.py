"""Invariant: a reviewer finds what the log says, once the look is recorded, and never another team's record."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.index import index_file
from gateway.cli.main import main
from gateway.console.page import Elsewhere, Sent, Turned
from policies.auditing.person_fields import SEALED
from policies.errors import AuditUnavailable, NotAuthorized
from tests.stored_log import StoredChain
from tests.unit.gateway.cli.command_line import Corral
from tests.unit.gateway.console.auditing.review_house import House

WEEK = {"since": "7d", "until": "today"}
"""The home's own records are of today, whenever that is."""
EVIL = '<script>alert("x")</script>'


def request(number: int, team: str, key: str, **parts: Any) -> dict[str, Any]:
    return {
        "ts": f"2020-11-23T10:{number:02d}:00.000000Z",
        "event": "request.completed",
        "code": "C1001I",
        "stage": "completed",
        "req_id": f"r-{number}",
        "actor": {"kind": "key", "name": f"{team}-robot", "pseudonym": f"p{team}", "team": team, "key_id": key},
        "src": {"ip": f"192.0.2.{number}"},
        "action": {"verb": "POST", "route": "/api/chat", "model": "qwen3:8b"},
        "decision": {"effect": "allow"},
        "result": {"status": 200, "prompt_tokens": 5, "output_tokens": 7, "dur_ms": 41.0},
        **parts,
    }


def refusal(number: int, team: str, key: str, reason: str = "model_not_of_team") -> dict[str, Any]:
    refused = {"event": "request.denied", "code": "C1002W", "stage": "denied", "result": {"status": 404}}
    return request(number, team, key, **refused, decision={"effect": "deny", "reason": reason})


POLICY = {
    "ts": "2020-11-23T11:00:00.000000Z",
    "event": "policy.changed",
    "code": "C2030I",
    "stage": "admin",
    "actor": {"kind": "operator", "name": "otto", "method": "ssh_signature"},
    "decision": {"effect": "allow"},
    "change": {
        "object": "policy",
        "before_hash": "a" * 64,
        "after_hash": "b" * 64,
        "details": {"changes": 1, "change_1": "teams.chem.weight: 1.0 -> 3.0", "signers": "otto"},
        "ticket": "OPS-7",
    },
}
RECORDS = [
    request(1, "chem", "k1", event="request.authorized", stage="authorized", req_id="r-2"),
    request(2, "chem", "k1"),
    refusal(3, "chem", "k1"),
    refusal(4, "chem", "k1"),
    refusal(5, "bio", "k2"),
    request(6, "bio", "k2", action={"route": "/api/chat", "model": EVIL}),
    POLICY,
    {
        "ts": "2020-11-23T12:00:00.000000Z", "event": "refusals.sampled", "stage": "system",
        "actor": {"kind": "system"}, "details": {"reason": "unknown", "network": "203.0.113.0/24", "count": 4711},
    },
    refusal(40, "chem", "k1", "expired"),
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as `corral init` makes it, with a second chain of the day before; to be copied."""
    home = tmp_path_factory.mktemp("made") / "home"
    assert main(["init", "--home", str(home)]) == 0
    StoredChain(home / "audit" / "box-9").add(RECORDS)
    return home


@pytest.fixture
def corral(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Corral:
    shutil.copytree(made, tmp_path / "home")
    return Corral(tmp_path / "home", capsys)


@pytest.fixture
def house(corral: Corral) -> House:
    return House(corral.home)


def test_the_first_page_asks_nothing_of_the_log(house: House) -> None:
    seen = house.get("/audit")
    assert seen.status == 200
    assert house.events() == []
    assert 'href="/audit?ask=refused&amp;since=24h"' in seen.text


def test_who_was_refused_yesterday_and_why(house: House) -> None:
    seen = house.get("/audit", {"ask": "refused", "since": "yesterday", "until": "today"})
    assert house.events() == ["audit.searched"]
    assert house.entries[0]["change"]["details"]["hits"] == 5
    assert "model_not_of_team" in seen.text
    assert "the team may not use this model" in seen.text
    assert "4711" in seen.text
    assert "chem-robot" in seen.text
    assert '<a href="/audit/record/box-9%3A3">' in seen.text


def test_the_sums_say_how_often_each_was_refused(house: House) -> None:
    found = house.get("/audit", {"ask": "refused", "since": "yesterday", "until": "today"}).answer.data["found"]  # type: ignore[union-attr]
    sums = {(view.team, view.reason): group.count for group, view in found["groups"]}
    assert sums["chem", "model_not_of_team"] == 2
    assert sums["bio", "model_not_of_team"] == 1
    assert found["floods"] == 4711


def test_who_changed_the_policy_and_what(house: House) -> None:
    seen = house.get("/audit", {"ask": "policy", **WEEK})
    assert "otto" in seen.text
    assert "<code>teams.chem.weight</code>: <del>1.0</del> → <ins>3.0</ins>" in seen.text
    assert "OPS-7" in seen.text
    record = house.get("/audit/record/box-9:6")
    assert "<td><del>1.0</del></td><td><ins>3.0</ins></td>" in record.text
    assert house.events() == ["audit.searched", "audit.viewed"]
    assert house.entries[1]["change"]["object"] == "record:box-9:6"


def test_what_a_key_did_and_from_where(house: House) -> None:
    seen = house.get("/audit/key/k1", {"since": "30d"})
    data = seen.answer.data  # type: ignore[union-attr]
    assert data["counted"] == 5
    assert {each.address for each in data["addresses"]} == {
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "192.0.2.40",
    }
    assert house.events() == ["audit.searched"]
    assert house.entries[0]["change"]["details"]["filter"] == "key since=30d key=k1"
    assert '<a href="/audit?key=k1&amp;since=30d&amp;address=192.0.2.3">' in seen.text


def test_both_stages_of_a_request_stand_together(house: House) -> None:
    seen = house.get("/audit/request/r-2")
    assert [each.view.stage for each in seen.answer.data["stages"]] == ["authorized", "completed"]  # type: ignore[union-attr]
    record = house.get("/audit/record/box-9:1")
    assert [each.view.stage for each in record.answer.data["stages"]] == ["authorized", "completed"]  # type: ignore[union-attr]
    assert house.events() == ["audit.viewed", "audit.viewed"]


def test_new_addresses_of_keys(house: House, corral: Corral) -> None:
    (found,) = [
        house.get("/audit/addresses", {"since": since}).answer.data["found"]  # type: ignore[union-attr]
        for since in ("2020-11-23T10:03:30Z",)
    ]
    assert {(each.key, each.address, each.first_use) for each, _ in found} == {
        ("k1", "192.0.2.4", False), ("k1", "192.0.2.40", False), ("k2", "192.0.2.5", True), ("k2", "192.0.2.6", True),
    }  # fmt: skip


def test_old_keys_in_use(house: House) -> None:
    found = house.get("/audit", {"ask": "old-keys", **WEEK}).answer.data["found"]  # type: ignore[union-attr]
    assert [(each.view.seq, each.view.reason) for each in found["rows"]] == [(8, "expired")]


PATHS = [
    "/audit/record/box-9:4",
    "/audit/record/box-9:6",
    "/audit/request/r-5",
    "/audit/key/k2",
    "/audit/proof/box-9:4",
]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_not_of_the_viewer_s_teams_is_as_if_it_were_not_there(house: House, path: str) -> None:
    with pytest.raises(Turned) as theirs:
        house.get(path, teams={"chem"}, role="team-lead")
    with pytest.raises(Turned) as nothing:
        house.get(path.replace("4", "99").replace("6", "99").replace("5", "99").replace("k2", "k99"), role="team-lead")
    assert (theirs.value.status, theirs.value.word_key) == (nothing.value.status, nothing.value.word_key) == (
        404, theirs.value.word_key,
    )  # fmt: skip
    assert house.events() == []


@pytest.mark.parametrize("query", [
    WEEK, {"ask": "refused", **WEEK}, {"ask": "changes"}, {"team": "bio"}, {"text": "qwen3"}, {"key": "k2"},
    {"actor": "otto"}, {"address": "192.0.2.0/24"}, {"request": "r-5"},
])  # fmt: skip
def test_a_search_finds_nothing_of_other_teams(house: House, query: dict[str, str]) -> None:
    seen = house.get("/audit", query, teams={"chem"}, role="team-lead")
    found = seen.answer.data["found"]  # type: ignore[union-attr]
    assert {each.view.team for each in found["rows"]} <= {"chem"}
    assert {view.team for _, view in found["groups"]} <= {"chem"}
    assert found["floods"] == 0
    assert house.entries[0]["change"]["details"]["hits"] == found["counted"]
    assert not house.get("/audit", query, teams=set(), role="team-lead").answer.data["found"]["rows"]  # type: ignore[union-attr]


def test_the_log_is_told_whose_records_could_be_seen(house: House) -> None:
    house.get("/audit", WEEK, teams={"chem", "bio"})
    house.get("/audit/key/k1", teams={"chem"})
    house.get("/audit/addresses", teams={"chem"})
    assert [entry["change"]["details"]["filter"] for entry in house.entries] == [
        "teams=bio,chem since=7d until=today", "key teams=chem since=30d key=k1", "new-addresses teams=chem since=24h",
    ]  # fmt: skip


def test_new_addresses_are_those_of_the_viewer_s_teams(house: House) -> None:
    seen = house.get("/audit/addresses", WEEK, teams={"bio"}, role="team-lead")
    assert {each.key for each, _ in seen.answer.data["found"]} == {"k2"}  # type: ignore[union-attr]


def test_nothing_is_shown_whose_look_cannot_be_recorded(house: House) -> None:
    house.refuses_records = AuditUnavailable("disk_full")
    asked = [("/audit", WEEK), ("/audit/record/box-9:4", {}), ("/audit/request/r-5", {}), ("/audit/key/k2", {})]
    for path, query in [*asked, ("/audit/addresses", {}), ("/audit/proof/box-9:4", {})]:
        with pytest.raises(AuditUnavailable):
            house.get(path, query)
    with pytest.raises(AuditUnavailable):
        house.post("/audit/export", {"format": "csv", **WEEK})


@pytest.mark.parametrize("path", ["/audit/record/box-9:5", "/audit/request/r-6", "/audit/key/k2"])
def test_markup_in_a_record_is_text(house: House, path: str) -> None:
    seen = house.get(path)
    assert "<script>alert" not in seen.text
    assert "&lt;script&gt;alert" in seen.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"since": "soon"}, "since: &#39;soon&#39; is no time"),
        ({"address": "10.0.0.7/8"}, "the network is 10.0.0.0/8"),
        ({"ask": "everything"}, "ask is one of"),
        ({"saved": "none"}, "no search is kept as"),
        ({"since": "2020-11-23", "until": "2020-11-22"}, "since must lie before until"),
    ],
)
def test_bad_input_is_one_line_beside_what_was_typed(house: House, query: dict[str, str], said: str) -> None:
    seen = house.get("/audit", query)
    assert seen.status == 400
    assert said in seen.text
    assert all(f'value="{value}"' in seen.text for name, value in query.items() if name not in ("ask", "saved"))
    assert house.events() == []


def test_a_whole_key_is_refused_and_never_recorded(house: House, corral: Corral) -> None:
    made = corral.json("keys", "create", "--team", "default")
    assert "key holds a whole key" in house.get("/audit", {"key": made["key"]}).text
    with pytest.raises(Turned):
        house.get(f"/audit/key/{made['key']}")
    assert house.events() == []


@pytest.mark.parametrize("place", ["box-9:99", "box-9", "nowhere:1", "box-9:-1", "../x:1"])
def test_a_place_that_is_none_is_not_found(house: House, place: str) -> None:
    with pytest.raises(Turned) as turned:
        house.get("/audit", {"cursor": place})
    assert turned.value.status == 404


def test_pages_follow_each_other_and_ask_the_same(house: House, corral: Corral) -> None:
    StoredChain(corral.home.audit / "box-8").add([refusal(each % 60, "chem", "k3") for each in range(120)])
    seqs: list[tuple[str, int]] = []
    query = {"key": "k3", **WEEK}
    for _ in range(3):
        found = house.get("/audit", query).answer.data["found"]  # type: ignore[union-attr]
        seqs += [(each.view.chain, each.view.seq) for each in found["rows"]]
        if found["next"]:
            query = dict(part.split("=") for part in found["next"].replace("%3A", ":").split("&"))
            assert query["until"] == "2020-11-24T00:00:00.000000Z"
    assert len(seqs) == len(set(seqs)) == 120
    assert found["next"] == ""


@pytest.mark.parametrize("form", ["jsonl", "csv", "ocsf", "cef", "syslog"])
def test_every_format_is_handed_out_whole_and_recorded(house: House, form: str) -> None:
    sent = house.post("/audit/export", {"format": form, "ask": "refused", **WEEK, "why": "review"}).answer
    assert isinstance(sent, Sent)
    (entry,) = house.entries
    details = entry["change"]["details"]
    assert (details["format"], details["opened"], details["hits"]) == (form, False, 5)
    assert sent.body.count(b"\n") == 5 + (form == "csv")
    assert sent.filename.startswith("corral-audit-")


def test_names_are_not_shown_where_two_persons_must_agree_to_it(house: House) -> None:
    asked = {"stage": "admin"}
    shown = house.get("/audit", asked).text
    house.acts_alone = False
    hidden = house.get("/audit", asked).text
    notice = "Names are not shown where signers are set"
    assert (notice in shown, notice in hidden) == (False, True)
    assert (SEALED in shown, SEALED in hidden) == (False, True)


def test_names_leave_only_when_asked_for(house: House) -> None:
    house.post("/audit/export", {"format": "csv", **WEEK, "opened": "yes"})
    assert house.entries[0]["change"]["details"]["opened"] is True


def test_an_export_of_some_teams_holds_no_other(house: House) -> None:
    sent = house.post("/audit/export", {"format": "jsonl", **WEEK}, teams={"bio"}).answer
    lines = [json.loads(line) for line in sent.body.splitlines()]  # type: ignore[union-attr]
    assert [line["actor"]["team"] for line in lines] == ["bio", "bio"]


def test_an_export_is_not_for_team_leads(house: House) -> None:
    with pytest.raises(NotAuthorized):
        house.post("/audit/export", {"format": "csv"}, role="team-lead")


def test_more_than_the_bound_is_refused_with_the_command(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.console.auditing.handing_out.MOST", 4)
    with pytest.raises(Turned) as turned:
        house.post("/audit/export", {"format": "csv", **WEEK})
    assert (turned.value.status, turned.value.details["most"]) == (413, 4)
    assert house.events() == []


def test_one_record_leaves_with_its_proof(house: House, corral: Corral) -> None:
    (own,) = (each.name for each in corral.home.audit.iterdir() if each.is_dir() and each.name != "box-9")
    sent = house.get(f"/audit/proof/{own}:0").answer
    assert isinstance(sent, Sent)
    with zipfile.ZipFile(io.BytesIO(sent.body)) as archive:
        names = archive.namelist()
    assert any(name.endswith(f"{own}/proofs/0.tlog-proof") for name in names)
    assert any(name.endswith("audit.vkey") for name in names)
    with pytest.raises(Turned) as turned:
        house.get("/audit/proof/box-9:0")
    assert turned.value.word_key == "audit.not_provable"


def test_searches_are_kept_for_everybody_and_removed(house: House) -> None:
    kept = house.post("/audit/searches", {"name": "refused", "ask": "refused", "since": "24h"}).answer
    assert kept == Elsewhere("/audit?saved=refused")
    assert house.get("/audit", {"saved": "refused", **WEEK}).answer.data["found"]["counted"] == 5  # type: ignore[union-attr]
    assert "is kept as &#39;refused&#39; already" in house.post("/audit/searches", {"name": "refused"}).text
    assert house.post("/audit/searches/remove", {"name": "refused"}).answer == Elsewhere("/audit")
    with pytest.raises(Turned):
        house.post("/audit/searches/remove", {"name": "refused"})
    assert house.events() == ["audit.query_saved", "audit.searched", "audit.query_removed"]


def test_who_sees_some_teams_keeps_and_sees_searches_of_these(house: House) -> None:
    assert "name one of your teams: chem" in house.post("/audit/searches", {"name": "mine"}, teams={"chem"}).text
    house.post("/audit/searches", {"name": "mine", "team": "chem"}, teams={"chem"})
    house.post("/audit/searches", {"name": "theirs", "team": "bio", "actor": "otto"})
    assert list(house.get("/audit", teams={"chem"}).answer.data["kept"]) == ["mine"]  # type: ignore[union-attr]
    assert house.get("/audit", {"saved": "theirs"}, teams={"chem"}).status == 400
    with pytest.raises(Turned):
        house.post("/audit/searches/remove", {"name": "theirs"}, teams={"chem"})


FORM = {"since": "2020-11-23", "until": "2020-11-24", "ranges": "box-9:0-8", "remark": "all explained", "ticket": "R-1"}


def test_a_review_is_signed_with_what_was_looked_at(house: House) -> None:
    assert isinstance(house.post("/audit/review", FORM).answer, Elsewhere)
    (entry,) = house.entries
    assert (entry["event"], entry["code"], entry["actor"]["name"]) == ("audit.reviewed", "C3305I", "rita")
    assert entry["change"]["details"]["range_1"] == "box-9:0-8"
    assert entry["change"]["details"]["hits"] == 9
    assert (entry["change"]["reason"], entry["change"]["ticket"]) == ("all explained", "R-1")


@pytest.mark.parametrize("role", ["admin", "team-lead"])
def test_an_admin_signs_nothing(house: House, role: Any) -> None:
    with pytest.raises(NotAuthorized):
        house.post("/audit/review", FORM, role=role)


@pytest.mark.parametrize(
    ("form", "who", "said"),
    [
        ({"remark": " "}, {}, "needs a remark"),
        ({"ranges": "box-9:0-99"}, {}, "the log has no records box-9:0-99"),
        ({"ranges": "other:0-1"}, {}, "the log has no records other:0-1"),
        ({"ranges": ""}, {}, "names no stretch"),
        ({}, {"person": "otto"}, "you changed something in what you would sign"),
        ({}, {"kind": "key"}, "signed by a person"),
    ],
)
def test_a_sign_off_that_may_not_be_is_refused(
    house: House, form: dict[str, str], who: dict[str, Any], said: str
) -> None:
    seen = house.post("/audit/review", FORM | form, **who)
    assert seen.status == 400
    assert said in seen.text
    assert "audit.reviewed" not in house.events()


def test_the_form_signs_what_the_page_showed(house: House) -> None:
    found = house.get("/audit", {"since": "2020-11-23", "until": "2020-11-24"}).answer.data["found"]  # type: ignore[union-attr]
    assert found["ranges"] == "box-9:0-8"
    house.post("/audit/review", found["exact"] | {"ranges": found["ranges"], "remark": "seen"})
    assert house.events() == ["audit.searched", "audit.reviewed"]


def test_a_large_log_without_an_index_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.console.auditing.log_reading.SMALL_BYTES", 10)
    with pytest.raises(Turned) as turned:
        house.get("/audit", WEEK)
    assert turned.value.word_key == "audit.no_index"


def test_another_writer_of_the_index_does_not_stop_a_search(
    house: House, corral: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.get("/audit", WEEK)
    monkeypatch.setattr("gateway.console.auditing.log_reading.WAIT_S", 0.0)
    with index_file.writing(corral.home.audit, 1.0):
        found = house.get("/audit", WEEK).answer.data["found"]  # type: ignore[union-attr]
    assert found["behind"] is True
    assert found["counted"] == 9


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    "path", ["/audit", "/audit/record/box-9:6", "/audit/request/r-2", "/audit/key/k1", "/audit/addresses", "/audit/log"]
)
def test_every_page_is_made_in_both_languages(house: House, path: str, lang: str) -> None:
    seen = house.get(path, WEEK, lang=lang)
    assert seen.status == 200
    assert f'<html lang="{lang}">' in seen.text
    assert seen.text.count("<h1>") == 1
    assert "style=" not in seen.text
