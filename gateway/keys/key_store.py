"""The one home of API keys: SQLite on disk, a copy in memory for every look-up.

`get` touches no disk, so verifying a key costs no I/O and needs no disk. A change is on disk before
`save` returns (synchronous FULL), with one exception in the safe direction: a revocation counts in
memory at once, even when the disk then refuses it. Every failure of the store is PolicyUnavailable.

The store holds digests only; the pepper that they are made with lies in a file of its own. What else the
same file holds has a class of its own each, filled and refreshed with the keys: `revocations` (with
lockdowns), `grants` and `public_keys`.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.keys import key_file
from gateway.keys.forgotten_person import forget_person
from gateway.keys.grant_store import GrantStore
from gateway.keys.key_rows import SELECT, TOUCH, UPSERT, read_row, write_row
from gateway.keys.public_key_store import PublicKeyStore
from gateway.keys.revocation_store import RevocationStore
from gateway.keys.tables import GRANTS, LOCKDOWNS, PUBLIC_KEYS, REVOCATIONS
from policies.credentials.key_record import KeyRecord
from policies.credentials.public_key import PublicKeyRecord
from policies.errors import PolicyUnavailable

TOUCH_GRANULARITY_S = 60.0


class KeyStore:
    """All keys of one home. Not for threads: one event loop, or one command, owns it.

    `changing` is held by whoever plans a change from what the store says until the change is saved.
    """

    def __init__(self, database: sqlite3.Connection, file: key_file.KeyFile) -> None:
        """Use `create` or `open`."""
        self.changing = asyncio.Lock()
        self.revocations = RevocationStore(self._write)
        self.grants = GrantStore(self._write)
        self.public_keys = PublicKeyStore(self._write, self._tell_revoked)
        self._database = database
        self._file = file
        self._records: dict[str, KeyRecord] = {}
        self._unwritten_uses: set[str] = set()
        self._on_revoked: list[Callable[[str], None]] = []
        self._version = -1

    @classmethod
    def create(cls, path: Path) -> "KeyStore":
        """A new, empty store at `path`, mode 0600. Raises PolicyUnavailable, also when something is there."""
        try:
            key_file.make(path)
        except (OSError, sqlite3.Error) as cause:
            raise PolicyUnavailable("key_store_not_made") from cause
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "KeyStore":
        """The store at `path`. Raises PolicyUnavailable when it is missing, damaged or of another version."""
        try:
            database = key_file.connect(path)
        except sqlite3.Error as cause:
            raise PolicyUnavailable("key_store_away") from cause
        try:
            key_file.check(database)
            store = cls(database, key_file.KeyFile(path))
            store.refresh()
        except BaseException:
            database.close()
            raise
        return store

    def get(self, key_id: str) -> KeyRecord | None:
        """The key called `key_id`, from memory."""
        return self._records.get(key_id)

    def records(self) -> tuple[KeyRecord, ...]:
        """Every key, revoked and expired ones included, oldest first."""
        return tuple(sorted(self._records.values(), key=lambda record: (record.created_s, record.id)))

    def save(self, *records: KeyRecord) -> None:
        """Add or replace `records`, all or none. Subscribers hear of each key that this revokes.

        Raises PolicyUnavailable when the disk refuses; revocations among `records` hold in memory even
        then, until the process ends, because a key its owner wants dead must not live on a full disk.
        """
        self._remember(record for record in records if record.revoked_s is not None)
        # A change that was planned before a revocation came from elsewhere must not undo it on disk.
        merged = [_merged(record, self._records.get(record.id)) for record in records]
        self._write(UPSERT, [write_row(record) for record in merged])
        self._remember(merged)

    def touch(self, key_id: str, now_s: float, ip: str) -> None:
        """Note a use of the key from `ip`, the first in each minute, in memory; `flush` or `close` writes it."""
        record = self._records.get(key_id)
        minute_s = now_s - now_s % TOUCH_GRANULARITY_S
        if record is not None and (record.last_used_s is None or record.last_used_s < minute_s):
            self._records[key_id] = replace(record, last_used_s=minute_s, last_ip=ip)
            self._unwritten_uses.add(key_id)

    def flush(self) -> None:
        """Write what is so far in memory only: revocations that the disk refused, and the uses noted.

        Raises PolicyUnavailable and keeps what could not be written.
        """
        self.revocations.write_again()
        if not self._unwritten_uses:
            return
        noted = frozenset(self._unwritten_uses)
        self._write(TOUCH, [_use(self._records[key_id]) for key_id in noted])
        self._unwritten_uses -= noted

    def people(self) -> frozenset[str]:
        """Everybody whom a key, of either kind, names: who owns, made or revoked it."""
        records: tuple[KeyRecord | PublicKeyRecord, ...] = (*self._records.values(), *self.public_keys.records())
        return frozenset(name for each in records for name in (each.owner, each.created_by, each.revoked_by) if name)

    def forget(self, name: str) -> None:
        """Take a person out of the file, without a trace. Raises PolicyUnavailable."""
        self.flush()
        try:
            forget_person(self._database, name)
            self._read_all()
        except (sqlite3.Error, ValueError, TypeError) as cause:
            raise PolicyUnavailable("key_store_not_written") from cause

    def refresh(self) -> None:
        """Take in what another process wrote to the same file; subscribers hear of its revocations.

        Cheap when nothing changed (SQLite's data_version), so it may be called every second. Raises
        PolicyUnavailable when the file is not the one that was opened, or cannot be read; memory then stays
        as it was.
        """
        self._file.require_same()
        try:
            version = self._database.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                self._read_all()
        except (sqlite3.Error, ValueError, TypeError) as cause:
            raise PolicyUnavailable("key_store_unreadable") from cause
        self._version = version

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Have `callback(key_id)` called for each key as it is revoked. It must not block or raise."""
        self._on_revoked.append(callback)

    def close(self) -> None:
        """Write the last uses and close the file. Raises PolicyUnavailable when they cannot be written."""
        try:
            self.flush()
        finally:
            self._database.close()

    def _read_all(self) -> None:
        """Read every table, then take all of it; a row that cannot be read changes nothing."""
        database = self._database
        found = [read_row(row) for row in database.execute(SELECT)]
        revocations, lockdowns = REVOCATIONS.read(database), LOCKDOWNS.read(database)
        grants, public_keys = GRANTS.read(database), PUBLIC_KEYS.read(database)
        self._remember(found)
        self.revocations.take(revocations, lockdowns)
        self.grants.take(grants)
        self.public_keys.take(public_keys)

    def _remember(self, records: Iterable[KeyRecord]) -> None:
        for record in records:
            known = self._records.get(record.id)
            self._records[record.id] = _merged(record, known)
            if record.revoked_s is not None and known is not None and known.revoked_s is None:
                self._tell_revoked(record.id)

    def _tell_revoked(self, key_id: str) -> None:
        for callback in self._on_revoked:
            callback(key_id)

    def _write(self, statement: str, rows: list[dict[str, Any]]) -> int:
        """How many rows changed."""
        try:
            with self._database:
                return self._database.executemany(statement, rows).rowcount
        except sqlite3.Error as cause:
            raise PolicyUnavailable("key_store_not_written") from cause


def _use(record: KeyRecord) -> dict[str, object]:
    return {"id": record.id, "last_used_s": record.last_used_s, "last_ip": record.last_ip}


def _merged(record: KeyRecord, known: KeyRecord | None) -> KeyRecord:
    """`record` with what memory knows better: a later use, and a revocation that the disk refused."""
    if known is None:
        return record
    if known.revoked_s is not None and record.revoked_s is None:
        return known
    if (known.last_used_s or 0.0) > (record.last_used_s or 0.0):
        return replace(record, last_used_s=known.last_used_s, last_ip=known.last_ip)
    return record
