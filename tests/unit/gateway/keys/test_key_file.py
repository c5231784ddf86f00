"""keys.db on disk: an upgrade that loses nothing, and a file that is no longer the one in use."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from gateway.keys import key_file
from gateway.keys.key_rows import CREATE, SCHEMA_VERSION, UPSERT, write_row
from gateway.keys.key_store import KeyStore
from policies.credentials.api_key import mint
from policies.credentials.key_record import KeyRecord, new_record
from policies.credentials.revocation import Lockdown
from policies.errors import PolicyUnavailable

NOW_S = 1_800_000_000.0


def key(byte: int) -> KeyRecord:
    made = mint(lambda count: bytes([byte]) * count)
    return new_record(made, {1: b"p" * 32}, NOW_S + byte, team="blue", scopes=frozenset({"models"}))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.db"


@pytest.fixture
def store(path):
    store = KeyStore.create(path)
    yield store
    store.close()


def make_version_2(path, *records: KeyRecord) -> None:
    """A store as the version before wrote it."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(CREATE)
        database.execute("PRAGMA user_version = 2")
        database.executemany(UPSERT, [write_row(record) for record in records])


def version(path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA user_version").fetchone()[0]


def test_a_store_of_the_version_before_is_upgraded_and_loses_nothing(path):
    revoked = replace(key(2), revoked_s=NOW_S, revoked_by="anna", last_used_s=NOW_S, last_ip="192.0.2.1")
    make_version_2(path, key(1), revoked)
    store = KeyStore.open(path)
    assert store.records() == (key(1), revoked)
    store.revocations.lock(Lockdown(team="blue", since_s=NOW_S))
    store.close()
    assert version(path) == SCHEMA_VERSION == 3
    again = KeyStore.open(path)
    assert again.records() == (key(1), revoked)
    assert list(again.revocations.current.lockdowns) == ["blue"]
    again.close()


def test_an_upgrade_that_cannot_be_finished_changes_nothing(path):
    make_version_2(path, key(1))
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE public_keys (id TEXT)")  # in the way of the last new table
    with pytest.raises(PolicyUnavailable):
        KeyStore.open(path)
    assert version(path) == 2
    with closing(sqlite3.connect(path)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert names == {"keys", "public_keys"}


def test_of_two_that_upgrade_at_once_the_second_finds_it_done(path, monkeypatch):
    make_version_2(path, key(1))
    real = key_file._upgrade

    def overtaken(database):
        monkeypatch.setattr(key_file, "_upgrade", real)
        KeyStore.open(path).close()
        real(database)

    monkeypatch.setattr(key_file, "_upgrade", overtaken)
    store = KeyStore.open(path)
    assert store.records() == (key(1),)
    store.close()


def test_a_store_whose_file_is_gone_is_not_heard(store, path):
    store.save(key(1))
    store.refresh()
    path.rename(path.with_suffix(".away"))
    with pytest.raises(PolicyUnavailable, match="key_store_away"):
        store.refresh()
    assert store.get(key(1).id) == key(1)
    path.with_suffix(".away").rename(path)
    store.refresh()


def test_a_store_whose_file_was_replaced_is_not_heard(store, path):
    store.save(key(1))
    other = path.with_name("other.db")
    KeyStore.create(other).close()
    kept = path.with_suffix(".kept")
    path.rename(kept)
    other.rename(path)
    with pytest.raises(PolicyUnavailable, match="key_store_replaced"):
        store.refresh()
    path.unlink()
    kept.rename(path)
    store.refresh()


def test_a_file_overwritten_in_place_is_not_heard(store, path):
    store.save(key(1))
    store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.refresh()
    content = path.read_bytes()
    path.write_bytes(b"not a database" * 1000)
    for _ in range(2):
        with pytest.raises(PolicyUnavailable, match=r"key_store_(damaged|unreadable)"):
            store.refresh()
    path.write_bytes(content)
    store.refresh()


def test_a_file_that_may_not_be_read_any_more_is_not_heard(store, path, monkeypatch):
    monkeypatch.setattr(key_file.os, "access", lambda where, mode: False)
    with pytest.raises(PolicyUnavailable, match="key_store_unreadable"):
        store.refresh()


def test_content_that_the_table_forbids_is_damage(path):
    KeyStore.create(path).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute(UPSERT, write_row(key(1)) | {"digest": b"short"})
    with pytest.raises(PolicyUnavailable, match="key_store_damaged"):
        KeyStore.open(path)


def test_another_process_that_writes_is_no_damage(store, path, tmp_path):
    other = KeyStore.open(path)
    for byte in range(1, 40):
        other.save(key(byte))
    other._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.refresh()
    assert len(store.records()) == 39
    other.close()
    shutil.copy(path, tmp_path / "copy.db")
    store.refresh()
