"""Invariant: a fact is what its field says; no record, however odd, is an error, and nothing enciphered is a word."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.record_facts import Facts, facts_of, packed, packed_address, words_of

REQUEST = {
    "ts": "2026-11-22T18:00:00.000123Z",
    "event": "request.denied",
    "stage": "denied",
    "req_id": "0190-a",
    "actor": {"kind": "key", "name": "alice", "team": "chem", "key_id": "abc", "method": "api_key"},
    "src": {"ip": "192.0.2.7", "peer": "10.0.0.1"},
    "action": {"verb": "POST", "route": "/api/chat", "model": "qwen3:8b"},
    "decision": {"effect": "deny", "reason": "model_not_allowed", "rule": "deny 192.0.2.0/24", "policy_hash": "ff00"},
    "result": {"finish": "stop", "target": "worker-1", "admission": "queued", "status": 403},
}
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("enc:1:k:t"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
NAMES = ("ts", "event", "stage", "req_id", "actor", "src", "action", "decision", "result", "change", "details")


def test_a_request_says_who_what_and_from_where() -> None:
    facts = facts_of(REQUEST)
    assert facts == Facts(
        at_us=1_795_370_400_000_123,
        event="request.denied",
        stage="denied",
        outcome="deny",
        reason="model_not_allowed",
        team="chem",
        key="abc",
        actor="alice",
        model="qwen3:8b",
        route="/api/chat",
        request="0190-a",
        address=b"\x04\xc0\x00\x02\x07",
        more="api_key key POST deny 192.0.2.0/24  stop worker-1 queued",
    )


def test_no_word_of_a_request_is_personal_or_a_hash() -> None:
    words = facts_of(REQUEST).words()
    assert {"chem", "abc", "qwen3", "8b", "chat", "model", "allowed", "post", "worker", "denied"} <= words
    assert not words & {"alice", "0190", "ff00", "7"}


def test_a_pseudonym_comes_before_any_name_and_only_the_first_counts() -> None:
    actor = {"name": "enc:1:k:t", "pseudonym": "pone ptwo", "id": "7"}
    assert facts_of({"actor": actor}).actor == "pone"
    assert facts_of({"actor": {"name": "enc:1:k:t", "id": "1000"}}).actor == "1000"
    assert facts_of({"actor": {"name": "(erased)", "id": "enc:1:k:t"}}).actor == ""


def test_an_address_that_was_opened_stands_for_the_one_that_is_not() -> None:
    sealed = {"src": {"ip": "enc:1:k:t"}}
    assert facts_of(sealed).address == b""
    assert facts_of(sealed, "192.0.2.9").address == packed("192.0.2.9")


@pytest.mark.parametrize(
    ("record", "name", "value"),
    [
        ({"change": {"object": "key:abc"}}, "key", "abc"),
        ({"change": {"object": "team:chem"}}, "team", "chem"),
        ({"change": {"object": "model:qwen3:8b"}}, "model", "qwen3:8b"),
        ({"change": {"object": "policy", "details": {"team": "bio"}}}, "team", "bio"),
        ({"details": {"team": "bio", "key_id": "k"}}, "team", "bio"),
        ({"details": {"team": "bio", "key_id": "k"}}, "key", "k"),
        ({"change": {"object": "actor:enc:1:k:t"}}, "key", ""),
    ],
)
def test_what_an_act_is_about_is_found_under_it(record: dict, name: str, value: str) -> None:
    assert getattr(facts_of(record), name) == value


def test_words_of_an_act_hold_its_matter_but_nothing_closed_and_no_hash() -> None:
    change = {
        "object": "policy",
        "before_hash": "beef",
        "details": {"change_1": "weight 2 to 3", "owner": "enc:1:k:t", "deep": {"deeper": {"no": 1}}, "list": ["no"]},
        "ticket": "OPS-1234",
    }
    record = {"event": "policy.changed", "actor": {"name": "alice"}, "change": change}
    words = facts_of(record).words()
    assert {"alice", "policy", "weight", "2", "3", "ops", "1234", "owner", "ticket"} <= words
    assert not words & {"beef", "enc", "k", "t", "no"}


@pytest.mark.parametrize("ts", [None, 7, "", "yesterday", "2026-11-22T18:00:00", "1950-01-01T00:00:00Z", "0001-01-01"])
def test_what_is_no_time_counts_as_the_beginning(ts: object) -> None:
    assert facts_of({"ts": ts}).at_us == 0


def test_words_are_ascii_letters_and_digits_in_lower_case() -> None:
    assert words_of("Smollm2:135M \\u6570 a_b é") == ["smollm2", "135m", "u6570", "a", "b"]


def test_addresses_pack_by_version_and_mapped_ones_are_ipv4() -> None:
    assert packed("::ffff:192.0.2.7") == packed("192.0.2.7") == b"\x04\xc0\x00\x02\x07"
    assert packed("2001:db8::1")[0] == 6
    assert packed("nowhere") == b""


@given(st.ip_addresses(), st.ip_addresses())
def test_packed_addresses_of_one_version_sort_as_addresses_do(one, other) -> None:  # type: ignore[no-untyped-def]
    if one.version == other.version == 4:
        assert (packed_address(one) < packed_address(other)) == (one < other)
    assert packed_address(one) == packed(str(one)) or ip_address(str(one)) == one


@given(st.dictionaries(st.sampled_from(NAMES), ODD))
def test_no_record_is_an_error_and_nothing_closed_is_found(record: dict) -> None:
    facts = facts_of(record)
    assert facts.at_us >= 0
    assert "enc:1:" not in facts.spoken() + facts.actor or "enc:1:" in str(record.get("actor", ""))
    assert facts.words() == set(words_of(facts.spoken()))
