"""`corral policy explain --request ID`: what the audit log says was decided, and by what."""

from pathlib import Path

import pytest

from gateway.admin.first_records import write_first_records
from gateway.cli import policy_request
from gateway.configuration.config import policy_hash
from policies.audit_record import Action, Actor, Decision, RequestFacts, Source, Stamp, request_record
from tests.unit.gateway.cli.command_line import Corral

STAMP = Stamp(1_700_000_000_000_000, 1, "boot")
FACTS = RequestFacts(
    request_id="0190-a",
    source=Source(ip="127.0.0.1", listener="public"),
    actor=Actor(kind="key", team="default"),
    action=Action(model="m:latest"),
)


def decided(corral: Corral, event: str, decision: Decision) -> None:
    authorized = request_record("request.authorized", STAMP, FACTS, Decision(effect="allow"))
    other = request_record(event, STAMP, RequestFacts(request_id="0190-ab"), decision)
    write_first_records(corral.home, (authorized, other, request_record(event, STAMP, FACTS, decision)))


def test_a_refusal_names_its_step_and_setting(corral: Corral):
    hashed = policy_hash(corral.home.policy.read_bytes())
    decided(corral, "request.limited", Decision(effect="limit", reason="rate_limited_key", policy_hash=hashed))
    out = corral.run("policy", "explain", "--request", "0190-a")[1].splitlines()
    assert out == [
        "2023-11-14T22:13:20.000000Z  request.limited: limit",
        "(6) request rate: rate_limited_key: look at the limit of this key",
        f"decided by teams.default.key_limits.requests_per_minute ({corral.home.policy}:7)",
    ]
    found = corral.json("policy", "explain", "--request", "0190-a")
    assert (found["step"], found["records"]) == (6, ["request.authorized", "request.limited"])


def test_another_policy_decided(corral: Corral):
    decided(corral, "request.denied", Decision(effect="deny", reason="global_network", policy_hash="f" * 64))
    found = corral.json("policy", "explain", "--request", "0190-a")
    assert (found["setting"], found["line"]) == ("networks", None)
    assert found["notes"] == [f"it was decided by policy {'f' * 12}; this file is another one"]


def test_what_was_served_was_refused_by_nothing(corral: Corral):
    decided(corral, "request.completed", Decision(effect="allow"))
    found = corral.json("policy", "explain", "--request", "0190-a")
    assert (found["event"], found["step"], found["setting"]) == ("request.completed", None, None)


def test_what_a_reporting_limit_would_have_refused_is_told(corral: Corral):
    hashed = policy_hash(corral.home.policy.read_bytes())
    would = "rate_limited_key day_budget_used_up_team"
    decided(corral, "request.completed", Decision(effect="allow", policy_hash=hashed, would_refuse=would))
    out = corral.run("policy", "explain", "--request", "0190-a")[1].splitlines()
    assert out[0].endswith("request.completed: allow")
    assert out[1] == "(6) request rate: rate_limited_key would have refused: mode is report"
    assert out[2].startswith("decided by teams.default.key_limits.requests_per_minute (")
    assert out[3] == "(10) reserve: day_budget_used_up_team would have refused: mode is report"
    found = corral.json("policy", "explain", "--request", "0190-a")["would_refuse"]
    assert [(each["reason"], each["step"]) for each in found] == [
        ("rate_limited_key", 6),
        ("day_budget_used_up_team", 10),
    ]


def test_an_unknown_request(corral: Corral):
    status, _, err = corral.run("policy", "explain", "--request", "nobody")
    assert (status, err) == (2, "corral: the audit log of this home has no request with this id\n")


def test_a_log_that_cannot_be_read(corral: Corral, monkeypatch: pytest.MonkeyPatch):
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(policy_request, "segment_paths", refuse)
    status, _, err = corral.run("policy", "explain", "--request", "x")
    assert (status, err) == (1, "corral: cannot read the audit log: Permission denied\n")
