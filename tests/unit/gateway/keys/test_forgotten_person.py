"""keys.db forgets a person and nothing else, also in memory."""

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.keys.key_store import KeyStore
from policies.credentials.api_key import mint
from policies.credentials.key_record import new_record
from policies.credentials.revocation import Lockdown, Revocation
from policies.errors import PolicyUnavailable
from policies.limiting.limit_grant import LimitGrant
from tests.canaries import places_of

ALICE = "alice@corp.example"


@pytest.fixture
def store(tmp_path: Path):
    store = KeyStore.create(tmp_path / "keys.db")
    for owner, creator in ((ALICE, "ben"), ("ben", ALICE), ("ben", "ben")):
        record = new_record(mint(secrets.token_bytes), {1: b"p" * 32}, 1000.0, team="t", scopes=frozenset({"models"}))
        record = replace(record, owner=owner, created_by=creator, purpose=f"for {owner}", revoked_s=2000.0)
        store.save(replace(record, revoked_by=ALICE, revoked_reason="end of project", last_ip="192.0.2.7"))
    store.revocations.revoke(Revocation(kind="team", subject="t", at_s=1.0, by=ALICE, reason=f"{ALICE} found a leak"))
    store.revocations.lock(Lockdown(team="t", since_s=1.0, by=ALICE, reason="a leak"))
    store.grants.save(
        LimitGrant(id="g", team="t", limit="burst_requests", value=1, until_s=9.0, made_s=1.0, by=ALICE, reason="asked")
    )
    yield store
    store.close()


def test_forgotten(store: KeyStore, tmp_path: Path) -> None:
    assert store.people() == {ALICE, "ben"}
    assert places_of(ALICE, tmp_path)
    store.forget(ALICE)
    assert places_of(ALICE, tmp_path) == []
    assert store.people() == {"ben"}
    told = {(each.owner, each.created_by, each.purpose, each.last_ip) for each in store.records()}
    assert told == {
        ("", "ben", "", ""),
        ("ben", "", "for ben", "192.0.2.7"),
        ("ben", "ben", "for ben", "192.0.2.7"),
    }
    assert {(each.revoked_s, each.revoked_by, each.revoked_reason) for each in store.records()} == {
        (2000.0, "", "end of project")
    }
    assert len({each.digest for each in store.records()}) == 3
    assert store.revocations.current.entries["team", "t"].at_s == 1.0


def test_an_address_is_forgotten_as_a_name(store: KeyStore) -> None:
    store.forget("192.0.2.7")
    assert {each.last_ip for each in store.records()} == {""}


def test_a_store_that_cannot_be_written_says_so(store: KeyStore) -> None:
    store._database.execute("PRAGMA query_only = ON")
    with pytest.raises(PolicyUnavailable, match="key_store_not_written"):
        store.forget(ALICE)
    store._database.execute("PRAGMA query_only = OFF")
    assert ALICE in store.people()
