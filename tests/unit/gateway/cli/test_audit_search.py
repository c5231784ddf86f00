"""Invariant: what is asked is found, shown and handed on, and who asked for it stands in the log before they see it."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from gateway.audit.audit_files import read_lines, segments
from gateway.audit.audit_key import read_vkeys
from policies.auditing.tlog_proof import read_proof, verify_proof
from tests.stored_log import StoredChain
from tests.unit.gateway.cli.command_line import Corral

REQUEST = {
    "req_id": "0190-a",
    "actor": {"kind": "key", "name": "=cmd", "team": "chem", "key_id": "k1"},
    "src": {"ip": "192.0.2.7"},
    "action": {"verb": "POST", "route": "/api/chat", "model": "qwen3:8b"},
}
STAGES = [
    {"ts": "2026-11-20T10:00:00.000000Z", "event": "request.authorized", "code": "C1000I", "stage": "authorized",
     "decision": {"effect": "allow"}, **REQUEST},
    {"ts": "2026-11-20T10:00:02.000000Z", "event": "request.completed", "code": "C1001I", "stage": "completed",
     "decision": {"effect": "allow"}, "result": {"status": 200, "output_tokens": 7, "queued_ms": 3.0, "dur_ms": 41.0},
     **REQUEST},
    {"ts": "2026-11-20T11:00:00.000000Z", "event": "request.denied", "code": "C1002W", "stage": "denied",
     "decision": {"effect": "deny", "reason": "model_not_allowed"}, **REQUEST, "req_id": "0190-b"},
]  # fmt: skip


@pytest.fixture
def reviewed(corral: Corral) -> Corral:
    """A home with a second chain that has a request of two stages and a refusal."""
    StoredChain(corral.home.audit / "box-9").add(STAGES)
    return corral


def recorded(corral: Corral, event: str) -> list[dict]:
    (own,) = (folder for folder in corral.home.audit.iterdir() if folder.is_dir() and folder.name != "box-9")
    records = [json.loads(line.data) for segment in segments(own) for line in read_lines(segment)]
    return [record for record in records if record["event"] == event]


def test_who_was_refused_and_why(reviewed: Corral) -> None:
    status, out, err = reviewed.run(
        "audit", "search", "--since", "2026-11-20", "--until", "2026-11-21", "--outcome", "deny"
    )
    assert (status, err) == (0, "")
    assert "request.denied  deny/model_not_allowed  team=chem  key=k1  =cmd  192.0.2.7  /api/chat  qwen3:8b" in out
    assert out.endswith("1 found\n")


def test_the_search_is_a_record_of_its_own_with_what_was_asked_sealed(reviewed: Corral) -> None:
    reviewed.run(
        "audit", "search", "--actor", "=cmd", "--address", "192.0.2.0/24", "--why", "audit of chem", "--ticket", "T-1"
    )
    (record,) = recorded(reviewed, "audit.searched")
    details = record["change"]["details"]
    assert (details["hits"], record["code"], record["actor"]["kind"]) == (3, "C3140I", "operator")
    assert details["filter"].startswith("enc:1:")
    assert len(details["filter_hash"]) == 64
    shown = reviewed.json("audit", "search", "--event", "audit.searched")["hits"][0]["record"]["change"]
    assert shown["details"]["filter"] == "actor=\\=cmd address=192.0.2.0/24".replace("\\", "")
    assert (shown["reason"], shown["ticket"]) == ("audit of chem", "T-1")


def test_both_stages_of_a_request_stand_together(reviewed: Corral) -> None:
    status, out, _ = reviewed.run("audit", "search", "--request", "0190-a")
    assert status == 0
    assert out.splitlines()[:3] == [
        "request 0190-a",
        "  who        =cmd  team=chem  key=k1  from=192.0.2.7",
        "  what       POST  /api/chat  qwen3:8b",
    ]
    assert (
        "  completed  2026-11-20T10:00:02.000000Z  request.completed  allow  200  ?+7 tokens  queued=3.0ms  41.0ms"
        in out
    )
    (view,) = reviewed.json("audit", "search", "--request", "0190-a")["requests"]
    assert [stage["stage"] for stage in view["stages"]] == ["authorized", "completed"]


def test_pages_follow_each_other_by_the_cursor(reviewed: Corral) -> None:
    first = reviewed.json("audit", "search", "--team", "chem", "--limit", "2")
    assert first["cursor"] == "box-9:1"
    rest = reviewed.json("audit", "search", "--team", "chem", "--limit", "2", "--cursor", first["cursor"])
    assert [(hit["chain"], hit["seq"]) for hit in rest["hits"]] == [("box-9", 0)]
    assert rest["cursor"] is None
    assert "--cursor box-9:2" in reviewed.run("audit", "search", "--team", "chem", "--limit", "1")[1]
    assert reviewed.run("audit", "search", "--team", "nobody")[1] == "nothing found\n"


def test_what_a_key_did_and_what_was_done_to_it(corral: Corral) -> None:
    made = corral.json("keys", "create", "--team", "default", "--owner", "alice", "--reason", "onboarding")
    corral.run("keys", "revoke", made["id"], "--reason", "left")
    status, out, _ = corral.run("audit", "search", "--key", made["id"])
    assert status == 0
    assert [line.split("  ")[1] for line in out.splitlines() if line.startswith("20")] == ["key.revoked", "key.created"]
    assert "    owner: alice" in out


def test_kept_searches(reviewed: Corral) -> None:
    assert reviewed.run("audit", "search", "--outcome", "deny", "--since", "3650d", "--save", "refused")[0] == 0
    assert "refused  outcome=deny since=3650d" in reviewed.run("audit", "queries")[1]
    assert len(reviewed.json("audit", "search", "--saved", "refused")["hits"]) == 1
    assert reviewed.json("audit", "search", "--saved", "refused", "--outcome", "limit")["hits"] == []
    assert "is kept as 'refused' already" in reviewed.run("audit", "search", "--save", "refused")[2]
    assert reviewed.run("audit", "queries", "--remove", "refused") == (0, "no search is kept\n", "")
    assert reviewed.run("audit", "search", "--saved", "refused")[0] == 2
    events = [len(recorded(reviewed, f"audit.query_{what}")) for what in ("saved", "removed")]
    assert events == [1, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "--limit", "0"), "--limit is 1 to 10000"),
        (("search", "--cursor", "box-9"), "is no record's place"),
        (("search", "--cursor", "nowhere:7"), "no record has seq 7 in a chain 'nowhere'"),
        (("search", "--since", "soon"), "since: 'soon' is no time"),
        (("search", "--address", "10.0.0.7/8"), "the network is 10.0.0.0/8"),
        (("search", "--save", "No Name"), "is no name for a search"),
        (("export", "--cursor", "x"), "is no record's place"),
        (("queries", "--remove", "none"), "no search is kept as 'none'"),
    ],
)
def test_bad_input_is_one_clear_line(corral: Corral, words: tuple[str, ...], said: str) -> None:
    status, out, err = corral.run("audit", *words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_whole_key_is_refused_and_never_recorded(corral: Corral) -> None:
    made = corral.json("keys", "create", "--team", "default")
    status, _, err = corral.run("audit", "search", "--key", made["key"])
    assert status == 2
    assert "--key holds a whole key: give its id only" in err


def test_the_index_is_made_anew_when_asked(reviewed: Corral) -> None:
    count = reviewed.json("audit", "index", "--rebuild")["records"]
    assert count >= 6
    assert reviewed.run("audit", "index") == (0, "the index is up to date: 0 records taken in\n", "")


def test_an_index_that_cannot_be_written_is_said(corral: Corral) -> None:
    (corral.home.audit / "index.db").mkdir()
    status, _, err = corral.run("audit", "search")
    assert status == 1
    assert "index.db" in err


@pytest.mark.parametrize("name", ["jsonl", "csv", "ocsf", "cef", "syslog"])
def test_exports_go_on_behind_their_cursor(reviewed: Corral, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    first = reviewed.json("audit", "export", "--format", name, "--team", "chem", "--output", str(out))
    assert first["records"] == 3
    lines = out.read_bytes().splitlines()
    assert len(lines) == 3 + (name == "csv")
    assert b"model_not_allowed" in lines[-1]
    again = reviewed.json(
        "audit", "export", "--format", name, "--team", "chem", "--output", str(out), "--cursor", first["cursor"]
    )
    assert again["records"] == 0
    (record, _) = recorded(reviewed, "audit.exported")
    assert (record["change"]["details"]["format"], record["change"]["details"]["hits"]) == (name, 3)
    assert not list(tmp_path.glob(".out*"))


def test_an_export_to_stdout_is_the_exact_lines(reviewed: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    status, _, err = reviewed.run("audit", "export", "--team", "chem")
    stored = b"".join(path.read_bytes() for path in sorted((reviewed.home.audit / "box-9").glob("*.jsonl")))
    assert (status, out.getvalue()) == (0, stored)
    assert "3 records; to go on behind them: --cursor box-9:2," in err


def test_names_and_addresses_leave_only_when_asked_for(corral: Corral, tmp_path: Path) -> None:
    corral.run("keys", "create", "--team", "default", "--owner", "alice")
    for opened in (False, True):
        out = tmp_path / f"{opened}.csv"
        words = ["--format", "csv", "--event", "key.created", "--output", str(out), *(["--open"] if opened else [])]
        corral.json("audit", "export", *words)
        rows = list(csv.DictReader(io.StringIO(out.read_text())))
        assert ("alice" in rows[-1]["details"]) is opened
        assert bool(rows[-1]["actor_name"]) is opened
        assert rows[-1]["pseudonym"]


def test_a_bundle_proves_each_of_its_records(corral: Corral, tmp_path: Path) -> None:
    corral.run("keys", "create", "--team", "default")
    bundle = tmp_path / "bundle"
    assert corral.json("audit", "export", "--event", "key.created", "--bundle", str(bundle))["records"] == 2
    verifiers = read_vkeys(bundle / "audit.vkey")
    (chain,) = (folder for folder in bundle.iterdir() if folder.is_dir())
    for line in (chain / "records.jsonl").read_bytes().splitlines():
        proof = read_proof((chain / "proofs" / f"{json.loads(line)['seq']}.tlog-proof").read_bytes())
        assert verify_proof(proof, line, verifiers).note == (chain / "checkpoint").read_bytes()
    told = (bundle / "README.md").read_text()
    assert "2 records of 1 chains" in told
    assert "the log is\nnot anchored off this host" in told
    assert "is there already" in corral.run("audit", "export", "--bundle", str(bundle))[2]


def test_what_no_checkpoint_covers_is_not_bundled(reviewed: Corral, tmp_path: Path) -> None:
    status, _, err = reviewed.run("audit", "export", "--team", "chem", "--bundle", str(tmp_path / "b"))
    assert status == 1
    assert "has no checkpoint" in err


def test_an_export_never_overwrites_another_that_is_being_written(reviewed: Corral, tmp_path: Path) -> None:
    (tmp_path / ".out.part").write_bytes(b"")
    status, _, err = reviewed.run("audit", "export", "--output", str(tmp_path / "out"))
    assert status == 1
    assert "another export writes it" in err
    assert reviewed.run("audit", "export", "--output", str(tmp_path / "no" / "out"))[0] == 1


def test_tail_takes_the_same_conditions(reviewed: Corral) -> None:
    status, out, _ = reviewed.run("audit", "tail", "--outcome", "deny")
    assert status == 0
    assert [line.split("  ")[1] for line in out.splitlines()] == ["request.denied"]
    assert reviewed.run("audit", "tail", "--address", "192.0.2.0/24", "--text", "chat")[1].count("\n") == 3
    assert reviewed.run("audit", "tail", "--team", "nobody")[1] == ""
    assert recorded(reviewed, "audit.searched") == []
