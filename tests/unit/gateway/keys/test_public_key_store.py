"""Registered keys: found by their bytes, kept, and dead at once when revoked, here and elsewhere."""

from dataclasses import replace

import pytest

from gateway.keys.key_store import KeyStore
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord, public_key_id
from policies.errors import PolicyUnavailable


def record(byte: int, **changes: object) -> PublicKeyRecord:
    blob = BLOB_HEAD + bytes([byte]) * 32
    made = PublicKeyRecord(
        id=public_key_id(blob),
        blob=blob,
        team="blue",
        scopes=frozenset({"models"}),
        networks=("10.0.0.0/8",),
        created_s=float(byte),
        expires_s=99.0,
    )
    return replace(made, **changes)


@pytest.fixture
def stores(tmp_path):
    one = KeyStore.create(tmp_path / "keys.db")
    two = KeyStore.open(tmp_path / "keys.db")
    yield one, two
    two.close()
    one.close()


def test_a_key_is_found_by_its_bytes_and_by_its_id(stores):
    one, two = stores
    one.public_keys.save(record(2), record(1))
    one.public_keys.save()
    two.refresh()
    for store in stores:
        assert store.public_keys.find(record(1).blob) == record(1)
        assert store.public_keys.get(record(2).id) == record(2)
        assert store.public_keys.records() == (record(1), record(2))
    assert one.public_keys.find(b"") is None


def test_a_revocation_is_heard_once_here_and_elsewhere(stores):
    one, two = stores
    heard: list[tuple[int, str]] = []
    one.public_keys.save(record(1))
    two.refresh()
    for number, store in enumerate(stores):
        store.subscribe(lambda key_id, number=number: heard.append((number, key_id)))
    one.public_keys.save(record(1, revoked_s=5.0))
    one.public_keys.save(record(1, revoked_s=5.0))
    two.refresh()
    assert heard == [(0, record(1).id), (1, record(1).id)]
    assert two.public_keys.find(record(1).blob).state(6.0) == "revoked"


def test_a_revocation_that_the_disk_refuses_holds_in_memory(stores):
    one, two = stores
    one.public_keys.save(record(1))
    one._database.execute("PRAGMA query_only = ON")
    with pytest.raises(PolicyUnavailable):
        one.public_keys.save(record(1, revoked_s=5.0), record(2))
    one._database.execute("PRAGMA query_only = OFF")
    two.public_keys.save(record(3))
    one.refresh()
    assert one.public_keys.get(record(1).id).state(6.0) == "revoked"
    assert one.public_keys.get(record(2).id) is None
    assert one.public_keys.get(record(3).id) == record(3)
