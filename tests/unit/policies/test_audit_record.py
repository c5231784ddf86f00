"""Invariant: a record holds nothing but names that were cleaned, numbers that were allowed, and our own codes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.audit_chain import MAX_LINE_BYTES
from policies.audit_record import (
    ADMIN_EVENTS,
    EVENTS,
    MAX_DETAILS,
    PARAMS,
    REQUEST_EVENTS,
    SYSTEM_EVENTS,
    Action,
    Actor,
    Change,
    Decision,
    RequestFacts,
    Result,
    Source,
    Stamp,
    admin_record,
    allowed_params,
    clean,
    request_record,
    system_record,
)
from tests.chain_lines import chain_line

STAMP = Stamp(1_700_000_000_123_456, 42, "boot")
WORST = '"' * 5000


def test_a_request_record_holds_its_parts_and_leaves_out_the_absent() -> None:
    facts = RequestFacts(
        request_id="r-1",
        actor=Actor(kind="key", team="default", key_id="abc", method="bearer"),
        source=Source(ip="10.0.0.1", peer="10.0.0.1"),
        action=Action(verb="POST", route="/api/chat", model="smollm2:135m"),
        params={"temperature": 0.5, "prompt": 3, "seed": None},
    )
    record = request_record(
        "request.completed", STAMP, facts, Decision(effect="allow"), Result(status=200, output_tokens=0)
    )
    assert record == {
        "ts": "2023-11-14T22:13:20.123456Z",
        "mono_ns": 42,
        "boot_id": "boot",
        "event": "request.completed",
        "code": "C1001I",
        "stage": "completed",
        "req_id": "r-1",
        "actor": {"kind": "key", "team": "default", "key_id": "abc", "method": "bearer"},
        "src": {"ip": "10.0.0.1", "peer": "10.0.0.1"},
        "action": {"verb": "POST", "route": "/api/chat", "model": "smollm2:135m"},
        "decision": {"effect": "allow"},
        "params": {"temperature": 0.5},
        "result": {"status": 200, "output_tokens": 0},
    }


def test_a_request_record_without_a_result_has_none() -> None:
    record = request_record("request.denied", STAMP, RequestFacts(request_id="r"), Decision(effect="deny", reason="x"))
    assert record["actor"] == {"kind": "anonymous"}
    assert not {"result", "src", "action", "params"} & record.keys()


def test_what_limits_would_have_refused_is_kept_whole() -> None:
    told = " ".join(f"rate_limited_{n}" for n in range(20))
    decision = Decision(effect="allow", would_refuse=told)
    record = request_record("request.completed", STAMP, RequestFacts(request_id="r"), decision)
    assert record["decision"] == {"effect": "allow", "would_refuse": told}


def test_admin_and_system_records() -> None:
    change = Change(object="key/abc", details={"team": "default", "days": 90}, reason="joined\x1b[2J")
    record = admin_record("key.created", STAMP, Actor(kind="operator", name="root"), change, Decision(effect="allow"))
    assert record["stage"] == "admin"
    assert record["change"] == {
        "object": "key/abc",
        "details": {"team": "default", "days": 90},
        "reason": "joined\\x1b[2J",
    }
    record = system_record("audit.recovered", STAMP, {"torn_bytes": 7, "torn_file": "x"})
    assert (record["stage"], record["details"]) == ("system", {"torn_bytes": 7, "torn_file": "x"})


@pytest.mark.parametrize(("event", "code"), [("key.expiring", "C3031W"), ("key.predecessor_used", "C3032W")])
def test_what_is_noticed_about_keys_is_a_system_record_to_be_looked_at(event: str, code: str) -> None:
    record = system_record(event, STAMP, {"key_id": "abc"})
    assert (record["stage"], record["code"], record["details"]) == ("system", code, {"key_id": "abc"})


def test_every_event_has_its_own_code_and_a_stage() -> None:
    assert len({code for _, code in EVENTS.values()}) == len(EVENTS)
    assert len(EVENTS) == len(REQUEST_EVENTS) + len(ADMIN_EVENTS) + len(SYSTEM_EVENTS)


def test_an_unknown_event_is_a_bug() -> None:
    with pytest.raises(KeyError):
        request_record("request.invented", STAMP, RequestFacts(request_id="r"), Decision(effect="deny"))


@given(st.text(max_size=2000))
def test_clean_text_is_short_and_printable(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= 128
    assert all(" " <= character <= "~" for character in cleaned)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("smollm2:135m", "smollm2:135m"),
        ("a\nb\x7f\u202e\ud800", "a\\nb\\x7f\\u202e\\ud800"),
        ("use corral_abc123_SECRETsecret please", "use corral_[masked] please"),
        ("CORRAL_x", "corral_[masked]"),
        ("x" * 129, "x" * 125 + "..."),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_key_cut_by_the_cap_is_still_masked() -> None:
    for lead in range(500, 530):
        assert "SECRET" not in clean("y" * lead + "corral_" + "SECRET" * 20, 512)


def test_params_are_allowed_finite_numbers() -> None:
    given_params = {"temperature": 0.1, "seed": 2**63, "top_p": float("nan"), "top_k": float("inf"), "stream": True}
    assert allowed_params(given_params | {"prompt": 1}) == {"temperature": 0.1, "stream": True}
    assert allowed_params({"seed": "text"}) == {}  # type: ignore[dict-item]


def test_the_widest_record_fits_one_line() -> None:
    facts = RequestFacts(
        request_id=WORST,
        actor=Actor(kind="key", id=WORST, name=WORST, team=WORST, key_id=WORST, method=WORST),
        source=Source(ip=WORST, peer=WORST, listener=WORST, tls_version=WORST, tls_cipher=WORST, sni=WORST),
        action=Action(verb=WORST, route=WORST, model=WORST, model_digest=WORST),
        params=dict.fromkeys(PARAMS, 2**62),
    )
    result = Result(status=200, finish=WORST, target=WORST, dur_ms=1e17)
    line = chain_line(
        request_record("request.failed", STAMP, facts, Decision(effect="error", reason=WORST), result), 0, ""
    )
    assert len(line) < MAX_LINE_BYTES
    details: dict[str, str | int | float | bool] = {f"{number}{WORST}": WORST for number in range(2 * MAX_DETAILS)}
    record = admin_record(
        "key.created",
        STAMP,
        facts.actor,
        Change(object=WORST, details=details, reason=WORST, ticket=WORST),
        Decision(effect="allow"),
    )
    assert len(chain_line(record, 0, "")) < MAX_LINE_BYTES
    assert len(json.loads(chain_line(record, 0, ""))["change"]["details"]) == MAX_DETAILS
