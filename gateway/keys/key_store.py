"""The one home of API keys: SQLite on disk, a copy in memory for every look-up.

`get` touches no disk, so verifying a key costs no I/O and needs no disk. A change is on disk before
`save` returns (synchronous FULL), with one exception in the safe direction: a revocation counts in
memory at once, even when the disk then refuses it. Every failure of the store is PolicyUnavailable.

The store holds digests only; the pepper that they are made with lies in a file of its own.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from gateway.keys.key_rows import CREATE, SCHEMA_VERSION, SELECT, TOUCH, UPSERT, read_row, write_row
from policies.errors import PolicyUnavailable
from policies.key_record import KeyRecord

TOUCH_GRANULARITY_S = 60.0
BUSY_TIMEOUT_S = 2.0
"""Only another gateway of the same home, or a backup, can hold the file, and neither for long."""


class KeyStore:
    """All keys of one home. Not for threads: one event loop, or one command, owns it.

    `changing` is held by whoever plans a change from what the store says until the change is saved.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        """Use `create` or `open`."""
        self.changing = asyncio.Lock()
        self._database = database
        self._records: dict[str, KeyRecord] = {}
        self._unwritten_uses: set[str] = set()
        self._on_revoked: list[Callable[[str], None]] = []
        self._version = -1

    @classmethod
    def create(cls, path: Path) -> "KeyStore":
        """A new, empty store at `path`, mode 0600. Raises PolicyUnavailable, also when something is there."""
        try:
            # SQLite gives its -wal and -shm files the mode of the database, so making it first is enough.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with closing(_connect(path)) as database:
                database.execute(CREATE)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")
        except (OSError, sqlite3.Error) as cause:
            raise PolicyUnavailable("key_store_not_made") from cause
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "KeyStore":
        """The store at `path`. Raises PolicyUnavailable when it is missing, damaged or of another version."""
        try:
            database = _connect(path)
        except sqlite3.Error as cause:
            raise PolicyUnavailable("key_store_away") from cause
        store = cls(database)
        try:
            store._check()
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
        self._write(UPSERT, [write_row(record) for record in records])
        self._remember(records)

    def touch(self, key_id: str, now_s: float, ip: str) -> None:
        """Note a use of the key from `ip`, the first in each minute, in memory; `flush` or `close` writes it."""
        record = self._records.get(key_id)
        minute_s = now_s - now_s % TOUCH_GRANULARITY_S
        if record is not None and (record.last_used_s is None or record.last_used_s < minute_s):
            self._records[key_id] = replace(record, last_used_s=minute_s, last_ip=ip)
            self._unwritten_uses.add(key_id)

    def flush(self) -> None:
        """Write the uses noted so far. Raises PolicyUnavailable and keeps them when that fails."""
        if not self._unwritten_uses:
            return
        noted = frozenset(self._unwritten_uses)
        self._write(TOUCH, [_use(self._records[key_id]) for key_id in noted])
        self._unwritten_uses -= noted

    def refresh(self) -> None:
        """Take in what another process wrote to the same file; subscribers hear of its revocations.

        Cheap when nothing changed (SQLite's data_version), so it may be called every second. Raises
        PolicyUnavailable when the file cannot be read; memory then stays as it was.
        """
        try:
            version = self._database.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return
            found = [read_row(row) for row in self._database.execute(SELECT)]
        except (sqlite3.Error, ValueError, TypeError) as cause:
            raise PolicyUnavailable("key_store_unreadable") from cause
        self._version = version
        self._remember(found)

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Have `callback(key_id)` called for each key as it is revoked. It must not block or raise."""
        self._on_revoked.append(callback)

    def close(self) -> None:
        """Write the last uses and close the file. Raises PolicyUnavailable when they cannot be written."""
        try:
            self.flush()
        finally:
            self._database.close()

    def _check(self) -> None:
        try:
            sound = self._database.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as cause:
            raise PolicyUnavailable("key_store_unreadable") from cause
        if not sound:
            raise PolicyUnavailable("key_store_damaged")
        if version != SCHEMA_VERSION:
            raise PolicyUnavailable("key_store_of_another_version")

    def _remember(self, records: Iterable[KeyRecord]) -> None:
        for record in records:
            known = self._records.get(record.id)
            self._records[record.id] = _merged(record, known)
            if record.revoked_s is not None and known is not None and known.revoked_s is None:
                for callback in self._on_revoked:
                    callback(record.id)

    def _write(self, statement: str, rows: list[dict[str, object]]) -> None:
        try:
            with self._database:
                self._database.executemany(statement, rows)
        except sqlite3.Error as cause:
            raise PolicyUnavailable("key_store_not_written") from cause


def _connect(path: Path) -> sqlite3.Connection:
    """An open database; `mode=rw` so that a missing file is a fault and never an empty store."""
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )
    try:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        database.close()
        raise
    return database


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
