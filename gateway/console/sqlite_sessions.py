"""Sessions of a home with one gateway: a small SQLite file in its run folder, which nobody misses when it is gone.

A gateway that is replaced leaves the sessions to the next. The file is not made lasting at each write: after a power
loss people sign in again. One that is damaged is thrown away and made anew.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from policies.errors import PolicyUnavailable

BUSY_TIMEOUT_S = 2.0
_SESSIONS = "CREATE TABLE IF NOT EXISTS sessions (digest TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID"
_ALARMS = (
    "CREATE TABLE IF NOT EXISTS alarms (name TEXT PRIMARY KEY, at_s REAL NOT NULL, until_s REAL NOT NULL)"
    " STRICT, WITHOUT ROWID"
)
T = TypeVar("T")


class SqliteSessions:
    """See `gateway.console.session_store.SessionStore`. Statements run in threads, one at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`, or make it, mode 0600. Raises PolicyUnavailable."""
        self._turn = threading.Lock()
        try:
            try:
                self._database = _connect(path)
            except sqlite3.DatabaseError:
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)
                self._database = _connect(path)
        except (OSError, sqlite3.Error) as cause:
            raise PolicyUnavailable("session_store_not_made") from cause

    async def put(self, digest: str, sealed: bytes) -> None:
        """See SessionStore."""
        await self._run(lambda: self._write("INSERT OR REPLACE INTO sessions VALUES (?, ?)", (digest, sealed)))

    async def update(self, digest: str, sealed: bytes) -> None:
        """See SessionStore."""
        await self._run(lambda: self._write("UPDATE sessions SET sealed = ? WHERE digest = ?", (sealed, digest)))

    async def get(self, digest: str) -> bytes | None:
        """See SessionStore."""
        rows = await self._run(lambda: self._read("SELECT sealed FROM sessions WHERE digest = ?", (digest,)))
        return rows[0][0] if rows else None

    async def all(self) -> dict[str, bytes]:
        """See SessionStore."""
        return dict(await self._run(lambda: self._read("SELECT digest, sealed FROM sessions")))

    async def drop(self, digest: str) -> bool:
        """See SessionStore."""
        return bool(await self._run(lambda: self._write("DELETE FROM sessions WHERE digest = ?", (digest,))))

    async def raise_alarm(self, name: str, at_s: float, until_s: float) -> None:
        """See SessionStore."""
        await self._run(lambda: self._write("INSERT OR REPLACE INTO alarms VALUES (?, ?, ?)", (name, at_s, until_s)))

    async def alarms(self, now_s: float) -> tuple[float, ...]:
        """See SessionStore."""

        def read() -> list[Any]:
            self._write("DELETE FROM alarms WHERE until_s <= ?", (now_s,))
            return self._read("SELECT at_s FROM alarms ORDER BY at_s DESC")

        return tuple(at_s for (at_s,) in await self._run(read))

    async def close(self) -> None:
        """See SessionStore."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._turn:
            self._database.close()

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.to_thread(self._in_turn, step)

    def _in_turn(self, step: Callable[[], T]) -> T:
        try:
            with self._turn:
                return step()
        except sqlite3.Error as cause:
            raise PolicyUnavailable("session_store_away") from cause

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        return self._database.execute(statement, values).fetchall()

    def _write(self, statement: str, values: tuple[object, ...]) -> int:
        with self._database:
            return self._database.execute(statement, values).rowcount


def _connect(path: Path) -> sqlite3.Connection:
    with contextlib.suppress(FileExistsError):  # its -wal and -shm take the mode from it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA secure_delete = ON")
        for table in (_SESSIONS, _ALARMS):
            database.execute(table)
        if database.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged")
    except BaseException:
        database.close()
        raise
    return database
