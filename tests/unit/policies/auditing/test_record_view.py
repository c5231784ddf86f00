"""Invariant: a view says what its record says, whatever is in it, and every change stands with its before and after."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.record_view import Difference, differences, facts_beside, read_difference, record_view
from policies.credentials.key_record import KeyRecord
from policies.policy import Policy, Team
from policies.policy_file.policy_diff import diff_details, diff_policies

REFUSED: dict[str, Any] = {
    "ts": "2026-11-22T10:00:00.000000Z",
    "event": "request.denied",
    "stage": "denied",
    "req_id": "r1",
    "actor": {"kind": "key", "name": "alice", "pseudonym": "pone", "team": "chem", "key_id": "k1"},
    "src": {"ip": "192.0.2.7"},
    "action": {"verb": "POST", "route": "/api/chat", "model": "qwen3:8b"},
    "decision": {"effect": "deny", "reason": "model_not_of_team", "rule": "models: none"},
    "result": {"status": 404, "prompt_tokens": 3, "output_tokens": 0, "queued_ms": 1.5, "dur_ms": 2},
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def test_who_was_refused_and_why() -> None:
    view = record_view("box-0", 7, REFUSED)
    assert (view.place, view.who, view.team, view.key, view.address) == ("box-0:7", "alice", "chem", "k1", "192.0.2.7")
    assert (view.outcome, view.reason, view.rule) == ("deny", "model_not_of_team", "models: none")
    assert (view.status, view.prompt_tokens, view.output_tokens, view.queued_ms, view.dur_ms) == (404, 3, 0, 1.5, 2)


@pytest.mark.parametrize(
    ("actor", "who"),
    [
        ({"name": "(erased)", "pseudonym": "pone"}, ""),
        ({"name": "enc:1:x", "kind": "key"}, ""),
        ({"kind": "anonymous", "pseudonym": "pone"}, ""),
        ({"kind": "system"}, "system"),
        ({}, ""),
    ],
)
def test_a_name_that_cannot_be_read_is_none_and_the_pseudonym_stays(actor: dict[str, str], who: str) -> None:
    view = record_view("box-0", 0, {"actor": actor})
    assert (view.who, view.pseudonym) == (who, actor.get("pseudonym", ""))


def test_a_flood_says_its_count_network_and_reason() -> None:
    view = record_view("b", 1, {"event": "refusals.sampled", "details": {"reason": "x", "network": "n", "count": 9}})
    assert (view.reason, view.network, view.count) == ("x", "n", 9)


@given(record=st.dictionaries(st.sampled_from([*REFUSED, "change", "details"]), JSON_VALUES))
def test_no_record_whatever_is_in_it_is_an_error(record: dict[str, Any]) -> None:
    view = record_view("box-0", 0, record)
    assert all(isinstance(each, str) for each in (view.who, view.team, view.event, view.address, view.object))
    assert all(isinstance(each, Difference) for each in differences(record))
    assert all(isinstance(each, str) for each in facts_beside(record).values())


def test_a_policy_s_change_is_read_from_its_own_record() -> None:
    before, after = Policy(teams={"chem": Team(models=("a -> b",))}), Policy(teams={"chem": Team(weight=3.0)})
    details = diff_details(diff_policies(before, after), ("keys of x are refused",))
    record = {
        "change": {"object": "policy", "before_hash": "x", "after_hash": "y", "details": details, "reason": "why"}
    }
    found = {each.name: each for each in differences(record)}
    assert (found["teams.chem.weight"].before, found["teams.chem.weight"].after) == ("1.0", "3.0")
    models = found["teams.chem.models"]
    assert models.before == '["a -> b"]'
    assert facts_beside(record) == {
        "changes": str(details["changes"]), "warning_1": "keys of x are refused", "reason": "why", "before_hash": "x",
        "after_hash": "y",
    }  # fmt: skip


@given(before=JSON_VALUES, after=JSON_VALUES)
def test_a_difference_is_parted_or_stays_whole_and_loses_nothing(before: Any, after: Any) -> None:
    text = f"teams.chem: {json.dumps(before)} -> {json.dumps(after)}"
    found = read_difference(text)
    assert found.name == "teams.chem"
    if found.text:
        assert f"{found.name}: {found.text}" == text
    else:
        assert f"{found.name}: {found.before} -> {found.after}" == text


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("a: absent -> 1", Difference("a", None, "1")),
        ('a: "x" -> absent', Difference("a", '"x"', None)),
        ("a: [1... (sha256 0123456789abcdef) -> [2... (sha256 fedcba9876543210)", Difference(
            "a", "[1... (sha256 0123456789abcdef)", "[2... (sha256 fedcba9876543210)")),
        ("a: (erased)", Difference("a", text="(erased)")),
        ("(erased)", Difference("", text="(erased)")),
        ('a: "x -> y', Difference("a", '"x', "y")),
        ('a: x -> y -> z', Difference("a", text="x -> y -> z")),
    ],
)  # fmt: skip
def test_arrows(text: str, parted: Difference) -> None:
    assert read_difference(text) == parted


def test_a_key_s_change_is_pairs() -> None:
    change = {
        "object": "key:k1",
        "after_hash": "y",
        "details": {"expires_s": 5, "expires_s_before": 3, "owner": "alice", "purpose_before": "test"},
    }
    assert differences({"change": change}) == (
        Difference("expires_s", "3", "5"), Difference("owner", None, "alice"), Difference("purpose", "test", None),
    )  # fmt: skip
    assert facts_beside({"change": change}) == {"after_hash": "y"}
    assert KeyRecord.__name__  # whose fields these are: gateway/keys/key_changes.py


def test_an_act_without_an_after_has_facts_only() -> None:
    change = {"object": "audit:search", "details": {"filter": "team=chem", "hits": 3}, "reason": "review"}
    assert differences({"change": change}) == ()
    assert facts_beside({"change": change}) == {"filter": "team=chem", "hits": "3", "reason": "review"}
