"""Invariant: every event fits the published schema of its class, and holds the exact line that it came from."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given

from policies.auditing.export_ocsf import event
from policies.auditing.exported import Exported
from tests.exported_records import EXPORTED, exported, naughty
from tests.json_schema import faults

FOLDER = Path(__file__).resolve().parents[3] / "vendored" / "ocsf"
SCHEMA = json.loads((FOLDER / "api_activity-1.8.0.json").read_text())


def check(it: Exported) -> None:
    made = json.loads(json.dumps(event(it)))
    assert faults(made, SCHEMA) == []
    assert json.loads(made["raw_data"]) == json.loads(it.line)
    assert made["raw_data_hash"]["value"] == hashlib.sha256(it.line.encode()).hexdigest()
    assert made["metadata"]["uid"] == it.place
    assert made["type_uid"] == 600300 + made["activity_id"]


@given(EXPORTED)
def test_events_fit_the_schema(it: Exported) -> None:
    check(it)


def test_naughty_strings_fit_it_too() -> None:
    for it in naughty():
        check(it)


def test_the_schema_is_the_one_that_is_named() -> None:
    digest = hashlib.sha256((FOLDER / "api_activity-1.8.0.json").read_bytes()).hexdigest()
    assert digest in (FOLDER / "README.md").read_text()
    assert faults({"class_uid": 1}, SCHEMA)
    assert "ai_model" in SCHEMA["properties"]


def test_a_served_request() -> None:
    record = {
        "ts": "2026-11-22T18:00:00.500000Z",
        "event": "request.completed",
        "code": "C1001I",
        "stage": "completed",
        "req_id": "0190-a",
        "actor": {"kind": "key", "name": "alice", "team": "chem", "key_id": "abc", "pseudonym": "pone"},
        "src": {"ip": "2001:db8::1"},
        "action": {"verb": "POST", "route": "/api/chat", "model": "qwen3:8b", "model_digest": "ff"},
        "decision": {"effect": "allow", "policy_hash": "aa"},
        "result": {
            "status": 200,
            "prompt_tokens": 5,
            "output_tokens": 7,
            "dur_ms": 41.6,
            "bytes_in": 10,
            "bytes_out": 20,
        },
    }
    made = event(exported(record))
    assert (made["time"], made["duration"], made["status_id"], made["activity_id"]) == (1_795_370_400_500, 42, 1, 1)
    assert made["ai_model"] == {"ai_provider": "Corral", "name": "qwen3:8b", "uid": "ff"}
    assert made["message_context"]["total_tokens"] == 12
    assert made["metadata"]["profiles"] == ["ai_operation"]
    assert made["actor"]["user"] == {
        "uid": "pone",
        "name": "alice",
        "credential_uid": "abc",
        "groups": [{"name": "chem"}],
    }
    assert made["actor"]["authorizations"] == [{"decision": "allow", "policy": {"uid": "aa", "name": "policy.yaml"}}]
    assert made["src_endpoint"] == {"ip": "2001:db8::1"}
    assert made["http_response"] == {"code": 200, "body_length": 20}


@pytest.mark.parametrize(
    ("record", "path", "value"),
    [
        ({"actor": {"kind": "system"}}, ("actor",), {"app_name": "Corral"}),
        ({}, ("actor", "user"), {"name": "anonymous"}),
        ({"actor": {"name": "enc:1:k:t", "pseudonym": "pone"}}, ("actor", "user"), {"uid": "pone"}),
        ({"decision": {"effect": "deny"}}, ("status_id",), 2),
        ({}, ("status_id",), 0),
        ({"event": "worker.died"}, ("activity_name",), "worker.died"),
        ({"event": "key.revoked"}, ("activity_id",), 4),
        ({"instance": "box-1", "src": {"ip": "enc:1:k:t"}}, ("src_endpoint",), {"instance_uid": "box-1"}),
        ({"result": {"output_tokens": 3}}, ("message_context", "total_tokens"), 3),
        ({"change": {"object": "policy"}}, ("unmapped",), {"change": {"object": "policy"}}),
    ],
)
def test_what_stands_where(record: dict, path: tuple[str, ...], value: object) -> None:
    made = event(exported(record))
    for name in path:
        made = made[name]
    assert made == value
