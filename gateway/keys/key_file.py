"""The file keys.db as SQLite sees it: how it is opened, made, upgraded, and whether it is still the one in use."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.homes.placed_file import PlacedFile
from gateway.keys.key_rows import CREATE, SCHEMA_VERSION, UPGRADED_VERSION
from gateway.keys.tables import TABLES
from policies.errors import PolicyUnavailable

BUSY_TIMEOUT_S = 2.0
"""Only another gateway of the same home, or a backup, can hold the file, and neither for long."""


def make(path: Path) -> None:
    """A new, empty store, mode 0600. Raises OSError, also when something is there, and sqlite3.Error."""
    # SQLite gives its -wal and -shm files the mode of the database, so making it first is enough.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(connect(path)) as database:
        database.execute(CREATE)
        for table in TABLES:
            database.execute(table.create)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")


def connect(path: Path) -> sqlite3.Connection:
    """An open database; `mode=rw` so that a missing file is a fault and never an empty store. Raises sqlite3.Error."""
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


def check(database: sqlite3.Connection) -> None:
    """Raises PolicyUnavailable unless the content is sound and of our version, upgraded now if need be."""
    try:
        sound = database.execute("PRAGMA quick_check").fetchone()[0] == "ok"
        if sound and _version(database) == UPGRADED_VERSION:
            _upgrade(database)
        version = _version(database)
    except sqlite3.Error as cause:
        raise PolicyUnavailable("key_store_unreadable") from cause
    if not sound:
        raise PolicyUnavailable("key_store_damaged")
    if version != SCHEMA_VERSION:
        raise PolicyUnavailable("key_store_of_another_version")


def _upgrade(database: sqlite3.Connection) -> None:
    """From version 2 to 3: the new tables beside the keys, which stay as they lie. All of it or nothing.

    Two gateways that start at once take turns; the second finds the work done.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        if _version(database) == UPGRADED_VERSION:
            for table in TABLES:
                database.execute(table.create)
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")
        database.execute("COMMIT")
    except BaseException:
        database.rollback()
        raise


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


class KeyFile:
    """Whether the file that a connection once opened still lies where others look for it, and is sound.

    A file that was overwritten in its place is another too, though SQLite goes on reading pages that it knows:
    what others then write would never be heard, revocations among it.
    """

    def __init__(self, path: Path) -> None:
        """Raises PolicyUnavailable when nothing is there."""
        self._path = path
        self._file = PlacedFile(path, "key_store")
        self._state = self._file.first

    def require_same(self) -> None:
        """Raises PolicyUnavailable when the file is gone, another, not ours to read, or damaged. Cheap if unchanged."""
        state = self._file.require_same()
        if state == self._state:
            return
        try:
            with closing(connect(self._path)) as database:
                check(database)
        except sqlite3.Error as cause:
            raise PolicyUnavailable("key_store_unreadable") from cause
        self._state = state
