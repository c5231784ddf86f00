"""Ollama's client signature: who may, who may not and why, and how often the same bytes may come."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials import ollama_signature
from policies.credentials.credential import Presented, SignedCredential, read_credential
from policies.credentials.ollama_signature import MAX_USES, REPEAT_S, WINDOW_S, Replays, verify_signature
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord, public_key_id
from policies.errors import NotAuthenticated, PolicyUnavailable
from tests.ollama_client import OllamaClient

NOW_S = 1_800_000_000.7
ANNA, MALLORY = OllamaClient(1), OllamaClient(2)


def record(client: OllamaClient, **changes: object) -> PublicKeyRecord:
    made = PublicKeyRecord(
        id=public_key_id(client.blob),
        blob=client.blob,
        team="blue",
        owner="anna",
        scopes=frozenset({"models"}),
        networks=("10.0.0.0/8",),
        created_s=NOW_S - 9,
        expires_s=NOW_S + 9,
    )
    return replace(made, **changes)


def signed(client: OllamaClient = ANNA, method: str = "GET", path: str = "/api/tags", at_s: float = NOW_S):
    """As it arrives and is read at step 4."""
    target, authorization = client.sign(method, path, at_s)
    path, _, query = target.partition("?")
    return read_credential(Presented(method, path, query, ((b"Authorization", authorization.encode()),)))


def reason(credential: SignedCredential, *known: PublicKeyRecord, now_s: float = NOW_S) -> str:
    with pytest.raises(NotAuthenticated) as refused:
        verify_signature(credential, {each.blob: each for each in known}.get, now_s)
    assert refused.value.presented
    return refused.value.reason


@pytest.mark.parametrize(
    ("method", "path"),
    [("HEAD", "/"), ("GET", "/api/tags"), ("POST", "/api/chat"), ("HEAD", "/api/blobs/sha256:" + "0" * 64)],
)
def test_the_holder_of_a_registered_key_is_let_in(method, path):
    principal = verify_signature(signed(ANNA, method, path), {ANNA.blob: record(ANNA)}.get, NOW_S)
    assert (principal.kind, principal.team, principal.key_id) == ("ssh_key", "blue", record(ANNA).id)
    assert (principal.owner, principal.scopes, principal.actor) == ("anna", {"models"}, "anna")
    assert (principal.issued_s, principal.expires_s) == (NOW_S - 9, NOW_S + 9)
    assert principal.networks.allow == ("10.0.0.0/8",)


def test_a_key_that_nobody_registered_is_unknown_though_its_signature_is_good():
    assert reason(signed(MALLORY), record(ANNA)) == "unknown"


@pytest.mark.parametrize("changes", [{"signed": b"POST,/api/tags?ts=1800000000"}, {"signature": bytes(64)}])
def test_another_method_path_or_signature_is_wrong(changes):
    assert reason(replace(signed(), **changes), record(ANNA)) == "wrong_signature"


def test_the_key_of_another_does_not_help():
    assert reason(replace(signed(MALLORY), public_key=ANNA.blob), record(ANNA)) == "wrong_signature"


@pytest.mark.parametrize("off_s", [-WINDOW_S - 1, WINDOW_S + 2])
def test_a_clock_too_far_off_is_refused(off_s):
    assert reason(signed(at_s=NOW_S + off_s), record(ANNA)) == "out_of_window"


@pytest.mark.parametrize("off_s", [-WINDOW_S + 1, WINDOW_S])
def test_a_clock_within_the_window_is_not(off_s):
    assert verify_signature(signed(at_s=NOW_S + off_s), {ANNA.blob: record(ANNA)}.get, NOW_S)


@pytest.mark.parametrize(
    "changes",
    [
        {"public_key": b""},
        {"public_key": ANNA.blob + b"x"},
        {"signature": bytes(63)},
        {"signed": b"GET,/api/tags?ts=1800000000&x=1"},
        {"signed": b"GET,/api/tags?x=1&ts=1800000000"},
        {"signed": b"GET,/api/tags?x=1?ts=1800000000"},
        {"signed": b"GET,/api/tags?ts=01800000000"},
    ],
)
def test_what_the_client_never_sends_is_malformed(changes):
    assert reason(replace(signed(), **changes), record(ANNA)) == "malformed"


@pytest.mark.parametrize(
    ("changes", "expected"), [({"revoked_s": NOW_S - 1}, "revoked"), ({"expires_s": NOW_S}, "expired")]
)
def test_the_state_is_told_only_to_the_holder(changes, expected):
    assert reason(signed(), record(ANNA, **changes)) == expected
    assert reason(replace(signed(), signature=bytes(64)), record(ANNA, **changes)) == "wrong_signature"


def test_bytes_that_are_no_point_on_the_curve_are_a_wrong_signature():
    blob = ANNA.blob[:-32] + b"\xff" * 32
    assert reason(replace(signed(), public_key=blob), record(ANNA, blob=blob)) == "wrong_signature"


def test_a_key_of_small_order_lets_nobody_in_though_it_is_registered():
    """Its signature holds over any message; a store of an older version could hold one."""
    neutral = b"\x01" + bytes(31)
    shown = replace(signed(), public_key=BLOB_HEAD + neutral, signature=neutral + bytes(32))
    assert reason(shown, record(ANNA, blob=BLOB_HEAD + neutral)) == "malformed"


def test_an_unknown_key_and_a_bad_signature_make_the_same_calls(monkeypatch):
    calls: list[str] = []
    real = ollama_signature.Ed25519PublicKey

    class Counted:
        @staticmethod
        def from_public_bytes(data: bytes):
            calls.append("key")
            key = real.from_public_bytes(data)

            class Key:
                def verify(self, signature: bytes, message: bytes) -> None:
                    calls.append("verify")
                    key.verify(signature, message)

            return Key()

    def lookup(blob: bytes) -> PublicKeyRecord | None:
        calls.append("lookup")
        return record(ANNA) if blob == ANNA.blob else None

    monkeypatch.setattr(ollama_signature, "Ed25519PublicKey", Counted)
    made = []
    for credential in (
        signed(MALLORY),
        replace(signed(), signature=bytes(64)),
        replace(signed(MALLORY), signature=bytes(64)),
    ):
        calls.clear()
        with pytest.raises(NotAuthenticated):
            verify_signature(credential, lookup, NOW_S)
        made.append(tuple(calls))
    assert set(made) == {("lookup", "key", "verify")}


def replayed(replays: Replays, message: bytes, now_s: float, key: bytes = ANNA.blob) -> bool:
    try:
        replays.note(key, message, now_s)
    except NotAuthenticated as refused:
        return refused.reason == "replayed"
    return False


def test_an_honest_client_may_say_the_same_twice_in_its_second():
    replays = Replays()
    assert [replayed(replays, b"GET,/api/tags?ts=1", 100 + REPEAT_S * n / 4) for n in range(5)] == [False] * 5
    assert replayed(replays, b"GET,/api/tags?ts=1", 100 + REPEAT_S + 0.01)
    assert replayed(replays, b"GET,/api/tags?ts=1", 100 + 2 * WINDOW_S)
    assert not replayed(replays, b"GET,/api/tags?ts=2", 100 + REPEAT_S + 0.01)


def test_a_repetition_does_not_prolong_the_time_for_the_next():
    replays = Replays()
    assert not replayed(replays, b"m", 100)
    assert not replayed(replays, b"m", 100 + REPEAT_S)
    assert replayed(replays, b"m", 100 + REPEAT_S * 1.5)


def test_no_more_than_so_many_times():
    replays = Replays()
    assert [replayed(replays, b"m", 100) for _ in range(MAX_USES + 2)] == [False] * MAX_USES + [True, True]


def test_two_keys_have_nothing_to_do_with_each_other():
    replays = Replays()
    assert not replayed(replays, b"m", 100)
    assert not replayed(replays, b"m", 100 + REPEAT_S + 1, MALLORY.blob)


def test_one_key_cannot_fill_the_place_of_another():
    replays = Replays(max_per_key=2, max_remembered=3)
    replays.note(ANNA.blob, b"1", 100)
    replays.note(ANNA.blob, b"2", 101)
    with pytest.raises(PolicyUnavailable, match="replay_cache_full"):
        replays.note(ANNA.blob, b"3", 101)
    replays.note(MALLORY.blob, b"1", 102)
    with pytest.raises(PolicyUnavailable, match="replay_cache_full"):
        replays.note(MALLORY.blob, b"2", 102)
    replays.note(ANNA.blob, b"3", 100.1 + 2 * WINDOW_S)
    replays.note(ANNA.blob, b"4", 101.1 + 2 * WINDOW_S)


def test_nothing_is_kept_of_a_key_that_went_silent():
    replays = Replays()
    replays.note(ANNA.blob, b"1", 100)
    replays.note(MALLORY.blob, b"1", 101 + 2 * WINDOW_S)
    assert list(replays._shares) == [MALLORY.blob]
    assert len(replays._uses) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 30)), max_size=60))
def test_the_same_bytes_are_never_taken_late(steps):
    replays, now_s, first_s = Replays(), 1000.0, {}
    for message, wait_s in steps:
        now_s += wait_s
        since_s = now_s - first_s.setdefault(message, now_s)
        if since_s > 2 * WINDOW_S:
            first_s[message] = now_s  # out of the window: `verify_signature` refuses it before it comes here
            since_s = 0.0
        assert replayed(replays, bytes([message]), now_s) == (since_s > REPEAT_S)
