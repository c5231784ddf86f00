"""The key store: what is saved lasts, memory answers, revocation is heard, and damage is never an empty store."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.keys.key_store import KeyStore
from policies.credentials.api_key import mint
from policies.credentials.key_record import KeyRecord, new_record
from policies.errors import PolicyUnavailable

NOW_S = 1_800_000_000.0


def record(byte: int, **changes: object) -> KeyRecord:
    key = mint(lambda count: bytes([byte]) * count)
    made = new_record(key, {1: b"p" * 32}, NOW_S + byte, team="blue", scopes=frozenset({"inference", "models"}))
    return replace(made, **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.db"


@pytest.fixture
def store(path):
    store = KeyStore.create(path)
    yield store
    store.close()


FULL = record(
    7,
    owner="anna",
    purpose='it\'s a "test"; DROP TABLE keys --',
    networks=("10.0.0.0/8", "2001:db8::/32"),
    expires_s=None,
    created_by="berta",
    revoked_s=NOW_S + 9,
    revoked_by="carla",
    revoked_reason="lost",
    predecessor_id=record(1).id,
    successor_id=record(2).id,
    overlap_ends_s=NOW_S + 5,
    last_used_s=NOW_S,
    last_ip="2001:db8::9",
)


def test_every_field_survives_a_restart(store, path):
    store.save(FULL, record(1))
    store.close()
    again = KeyStore.open(path)
    assert again.get(FULL.id) == FULL
    assert again.records() == (record(1), FULL)
    assert again.get("nobody") is None
    again.close()


def test_a_change_replaces_the_record(store, path):
    store.save(record(1))
    store.save(record(1, owner="berta"))
    assert [key.owner for key in store.records()] == ["berta"]


def test_the_files_are_the_owners_alone_and_syncing_is_full(store, path):
    store.save(record(1))
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
        "keys.db": 0o600,
        "keys.db-wal": 0o600,
        "keys.db-shm": 0o600,
    }
    assert store._database.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert store._database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_neither_the_pepper_nor_a_key_is_in_the_files(store, path):
    key = mint(lambda count: bytes([1]) * count)
    store.save(record(1))
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert key.id.encode() in content
    assert key.text.split("_")[2].encode() not in content
    assert b"p" * 32 not in content


def test_uses_are_noted_to_the_minute_and_written_later(store, path):
    used = record(1)
    store.save(used)
    minute_s = NOW_S - NOW_S % 60 + 600
    store.touch(used.id, minute_s + 59, "203.0.113.9")
    store.touch(used.id, minute_s + 1, "203.0.113.10")
    store.touch("nobody", minute_s, "203.0.113.9")
    assert (store.get(used.id).last_used_s, store.get(used.id).last_ip) == (minute_s, "203.0.113.9")
    other = KeyStore.open(path)
    assert other.get(used.id).last_used_s is None
    store.flush()
    store.flush()
    other.refresh()
    assert (other.get(used.id).last_used_s, other.get(used.id).last_ip) == (minute_s, "203.0.113.9")
    other.close()


def test_closing_writes_the_last_uses(store, path):
    store.save(record(1))
    store.touch(record(1).id, NOW_S, "203.0.113.9")
    store.close()
    again = KeyStore.open(path)
    assert again.get(record(1).id).last_used_s is not None
    again.close()


def test_a_change_planned_before_a_use_does_not_undo_it(store):
    store.save(record(1))
    planned = replace(store.get(record(1).id), owner="berta")
    store.touch(record(1).id, NOW_S, "203.0.113.9")
    store.save(planned)
    kept = store.get(record(1).id)
    assert (kept.owner, kept.last_used_s, kept.last_ip) == ("berta", NOW_S - NOW_S % 60, "203.0.113.9")


def test_a_change_planned_before_a_revocation_elsewhere_does_not_undo_it_on_disk(store, path):
    store.save(record(1))
    planned = replace(store.get(record(1).id), owner="berta")
    other = KeyStore.open(path)
    other.save(record(1, revoked_s=NOW_S))
    other.close()
    store.refresh()
    store.save(planned)
    again = KeyStore.open(path)
    assert again.get(record(1).id).revoked_s == store.get(record(1).id).revoked_s == NOW_S
    again.close()


def test_a_change_by_one_who_has_not_heard_of_a_revocation_does_not_undo_it_on_disk(store, path):
    kept, lost = record(1), record(2)
    store.save(kept, lost)
    other = KeyStore.open(path)
    store.save(replace(lost, revoked_s=NOW_S, revoked_by="anna"))
    other.save(replace(lost, review_s=NOW_S), replace(kept, review_s=NOW_S))
    other.refresh()
    assert (other.get(lost.id).state(NOW_S), other.get(kept.id).review_s) == ("revoked", NOW_S)
    other.close()
    again = KeyStore.open(path)
    assert (again.get(lost.id).revoked_s, again.get(lost.id).revoked_by) == (NOW_S, "anna")
    assert again.get(kept.id).review_s == NOW_S
    again.close()


def test_subscribers_hear_each_revocation_once(store):
    heard: list[str] = []
    store.subscribe(heard.append)
    store.save(record(1), record(2))
    store.save(record(1, revoked_s=NOW_S))
    store.save(record(1, revoked_s=NOW_S, owner="berta"))
    assert heard == [record(1).id]


def test_a_revocation_by_another_process_is_heard_on_refresh(store, path):
    heard: list[str] = []
    store.save(record(1))
    store.subscribe(heard.append)
    other = KeyStore.open(path)
    other.save(record(1, revoked_s=NOW_S), record(2))
    assert heard == []
    store.refresh()
    store.refresh()
    assert heard == [record(1).id]
    assert store.get(record(2).id) == record(2)
    other.close()


def test_a_revocation_that_the_disk_refuses_holds_in_memory(store, path):
    heard: list[str] = []
    store.save(record(1))
    store.subscribe(heard.append)
    store._database.execute("PRAGMA query_only = ON")
    with pytest.raises(PolicyUnavailable):
        store.save(record(1, revoked_s=NOW_S), record(2))
    assert heard == [record(1).id]
    assert store.get(record(1).id).state(NOW_S) == "revoked"
    assert store.get(record(2).id) is None
    other = KeyStore.open(path)
    other.save(record(3))
    other.close()
    store.refresh()
    assert store.get(record(1).id).state(NOW_S) == "revoked"
    store._database.execute("PRAGMA query_only = OFF")


def test_a_batch_is_saved_whole_or_not_at_all(store, path):
    bad = record(2)
    object.__setattr__(bad, "digest", b"short")
    with pytest.raises(PolicyUnavailable):
        store.save(record(1), bad)
    other = KeyStore.open(path)
    assert other.records() == ()
    other.close()


def test_uses_that_could_not_be_written_are_kept(store):
    store.save(record(1))
    store.touch(record(1).id, NOW_S, "203.0.113.9")
    store._database.execute("PRAGMA query_only = ON")
    with pytest.raises(PolicyUnavailable):
        store.flush()
    store._database.execute("PRAGMA query_only = OFF")
    store.flush()
    assert not store._unwritten_uses


def test_a_missing_store_is_a_fault_and_is_not_made(path):
    with pytest.raises(PolicyUnavailable):
        KeyStore.open(path)
    assert not path.exists()


def test_an_existing_file_is_never_made_into_a_store(path):
    path.write_text("precious")
    with pytest.raises(PolicyUnavailable):
        KeyStore.create(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_what_is_no_store_is_not_opened(path, content):
    path.write_bytes(content)
    with pytest.raises(PolicyUnavailable):
        KeyStore.open(path)


def change(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 99",
        "UPDATE keys SET scopes = 'admin auditor'",
        "UPDATE keys SET scopes = 'root'",
        "UPDATE keys SET networks = 'everywhere'",
        "DROP TABLE keys",
    ],
)
def test_a_store_with_impossible_content_is_not_opened(store, path, statement):
    store.save(record(1))
    store.close()
    change(path, statement)
    with pytest.raises(PolicyUnavailable):
        KeyStore.open(path)


def test_a_damaged_page_is_noticed(store, path):
    store.save(*(record(byte) for byte in range(1, 60)))
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(PolicyUnavailable):
        KeyStore.open(path)


def test_a_closed_store_saves_nothing(path):
    store = KeyStore.create(path)
    store.close()
    with pytest.raises(PolicyUnavailable):
        store.save(record(1))


def test_looking_up_touches_no_disk(store, path):
    store.save(record(1))
    store._database.close()
    assert store.get(record(1).id) == record(1)
    store._database = sqlite3.connect(path)
