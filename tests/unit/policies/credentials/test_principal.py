"""Verifying a key: each refusal has its reason, none comes sooner than another, and nothing fails open."""

import gc
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from policies.addresses.networks import Networks
from policies.credentials.api_key import NewKey, mint
from policies.credentials.credential import ApiKeyCredential
from policies.credentials.key_record import DAY_S, KeyRecord, new_record
from policies.credentials.principal import NO_DIGEST, Principal, verify_api_key
from policies.errors import NotAuthenticated, PolicyUnavailable

NOW_S = 1_800_000_000.0
PEPPERS = {1: b"1" * 32, 2: b"2" * 32}


def minted(byte: int) -> NewKey:
    return mint(lambda count: bytes([byte]) * count)


KEY, OTHER = minted(1), minted(2)
RECORD = replace(new_record(KEY, PEPPERS, NOW_S, team="blue", scopes=frozenset({"inference", "models"})), owner="anna")
WRONG_SECRET = mint(lambda count: bytes([1 if count == 16 else 9]) * count)
"""The id of KEY with another secret, checksum right."""


def lookup_of(*records: KeyRecord) -> Callable[[str], KeyRecord | None]:
    return {record.id: record for record in records}.get


def verify(text: str, *records: KeyRecord, peppers: Mapping[int, bytes] = PEPPERS, now_s: float = NOW_S):
    return verify_api_key(ApiKeyCredential(text), lookup_of(*records), peppers, now_s)


def reason_of(text: str, *records: KeyRecord, now_s: float = NOW_S) -> str:
    with pytest.raises(NotAuthenticated) as refused:
        verify(text, *records, now_s=now_s)
    assert refused.value.presented
    return refused.value.reason


def test_the_holder_of_a_key_becomes_its_principal():
    principal = verify(KEY.text, RECORD)
    assert (principal.kind, principal.team, principal.key_id, principal.owner) == ("api_key", "blue", KEY.id, "anna")
    assert principal.scopes == {"inference", "models"}
    assert principal.networks == RECORD.own_networks
    assert principal.successor_id == ""


def test_an_older_pepper_still_verifies():
    old = new_record(KEY, {1: PEPPERS[1]}, NOW_S, team="blue", scopes=frozenset({"models"}))
    assert verify(KEY.text, old).key_id == KEY.id


def test_a_key_in_its_overlap_names_its_successor():
    rotated = replace(RECORD, successor_id=OTHER.id, overlap_ends_s=NOW_S + 60)
    assert verify(KEY.text, rotated).successor_id == OTHER.id
    assert reason_of(KEY.text, rotated, now_s=NOW_S + 60) == "expired"


@pytest.mark.parametrize(
    "text", ["", "x", "' OR '1'='1", KEY.text[:-1], KEY.text + "a", KEY.text[:-1] + "!", KEY.text.replace("_", "-")]
)
def test_malformed_keys_are_never_looked_up(text):
    def lookup(_: str) -> KeyRecord | None:
        raise AssertionError("looked up")

    with pytest.raises(NotAuthenticated) as refused:
        verify_api_key(ApiKeyCredential(text), lookup, PEPPERS, NOW_S)
    assert (refused.value.reason, refused.value.presented) == ("malformed", True)


def test_each_cause_has_its_own_private_reason():
    assert reason_of(OTHER.text, RECORD) == "unknown"
    assert reason_of(WRONG_SECRET.text, RECORD) == "wrong_secret"
    assert reason_of(KEY.text, RECORD, now_s=NOW_S + 90 * DAY_S) == "expired"
    assert reason_of(KEY.text, replace(RECORD, revoked_s=NOW_S)) == "revoked"
    assert reason_of(KEY.text, replace(RECORD, not_before_s=NOW_S + 1)) == "not_yet_valid"


def test_the_state_is_only_looked_at_once_the_secret_is_proven():
    assert reason_of(WRONG_SECRET.text, replace(RECORD, revoked_s=NOW_S)) == "wrong_secret"


def test_an_unknown_key_is_refused_even_if_its_digest_matched(monkeypatch):
    monkeypatch.setattr("policies.credentials.principal.hash_key", lambda pepper, text: NO_DIGEST)
    assert reason_of(OTHER.text, RECORD) == "unknown"


@pytest.mark.parametrize("peppers", [{}, {1: PEPPERS[1]}])
def test_without_the_pepper_nobody_is_let_in_and_nobody_is_called_a_stranger(peppers):
    with pytest.raises(PolicyUnavailable):
        verify(KEY.text, RECORD, peppers=peppers)


def test_a_store_that_is_away_is_told_as_such():
    def away(_: str) -> KeyRecord | None:
        raise PolicyUnavailable("key_store_away")

    with pytest.raises(PolicyUnavailable):
        verify_api_key(ApiKeyCredential(KEY.text), away, PEPPERS, NOW_S)


class Recording(Mapping[int, bytes]):
    """Peppers that note what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getitem__(self, version: int) -> bytes:
        self.asked.append(f"pepper {version}")
        return PEPPERS[version]

    def __iter__(self) -> Iterator[int]:
        self.asked.append("versions")
        return iter(PEPPERS)

    def __len__(self) -> int:
        return len(PEPPERS)


def calls_of(text: str) -> list[str]:
    """Every Python and C function that a refusal of `text` calls, in order."""
    called: list[str] = []
    peppers = Recording()
    lookup = lookup_of(RECORD)

    def note(frame, event, argument):
        if event == "call":
            called.append(frame.f_code.co_qualname)
        elif event == "c_call":
            called.append(argument.__qualname__)

    gc.disable()  # else what others hook to a collection stands between the calls
    sys.setprofile(note)
    try:
        verify_api_key(ApiKeyCredential(text), lookup, peppers, NOW_S)
    except NotAuthenticated:
        pass
    finally:
        sys.setprofile(None)
        gc.enable()
    return called + peppers.asked


def test_an_unknown_id_runs_the_same_calls_as_a_wrong_secret():
    unknown, wrong = calls_of(OTHER.text), calls_of(WRONG_SECRET.text)
    assert unknown == wrong
    assert sum("compare_digest" in name for name in unknown) == 1
    assert sum("hash_key" in name for name in unknown) == 1
    assert "dict.get" in unknown


def bearer(**values: Any) -> Principal:
    return Principal(**{"kind": "jwt", "team": "blue", "scopes": frozenset(), "networks": Networks(), **values})


def test_limits_are_counted_for_each_bearer_alone():
    """One name for one bearer, whichever token is shown; no two issuers, subjects or kinds share one."""
    ada = bearer(issuer="https://a", subject="ada", jti="1")
    assert ada.limit_name == replace(ada, jti="2", team="red").limit_name
    others = [
        replace(ada, issuer="https://b"), replace(ada, subject="bob"), replace(ada, kind="certificate"),
        replace(ada, issuer="https://a a", subject="da"), replace(ada, issuer="https://a ada", subject=""),
        replace(ada, key_id="k"),
    ]  # fmt: skip
    assert len({each.limit_name for each in (ada, *others)}) == 1 + len(others)
    assert replace(ada, key_id="k").limit_name == "key:k"


def test_who_is_behind_a_credential():
    assert (bearer(subject="ada").actor, bearer(owner="anna").actor, bearer().actor) == ("ada", "anna", "")


def test_a_rotated_key_counts_under_the_first_of_its_line():
    ids = [f"{number:012d}" for number in range(4)]
    line = [replace(RECORD, id=each, predecessor_id=before) for before, each in itertools.pairwise(ids)]
    newest = replace(RECORD, predecessor_id=line[2].id)
    principal = verify(KEY.text, newest, *line)
    assert (principal.key_id, principal.limit_name) == (KEY.id, f"key:{line[0].id}")


def test_a_circle_of_predecessors_ends():
    circle = replace(RECORD, predecessor_id=RECORD.id)
    assert verify(KEY.text, circle).limit_name == f"key:{KEY.id}"
