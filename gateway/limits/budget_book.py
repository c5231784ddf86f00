"""Budgets of days and months on disk: what was reserved before a request ran is still charged after a crash.

Memory answers, the disk follows: `charge` changes the copy in memory at once, `durable` returns when all changes made
before it are written and synced. One thread writes; changes that come while it does go together in its next
transaction, so a hundred requests at once cost two writes and the event loop never waits for the disk. A disk that
refuses makes every `durable` fail (PolicyUnavailable) until it takes what is owed.

What is kept: for each name and period the tokens charged, and when the period ends; rows are dropped KEPT_S after
that, by a wall clock that has run with the monotonic one since: one that was set, and may be set back, drops nothing.
A file that was deleted or replaced takes no more: nothing is promised until it is back, or Corral was restarted.
Differences are written, not sums, so that an old gateway that settles its last streams beside its successor
takes nothing from what that one has charged.
"""

import asyncio
import math
import os
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from gateway.homes.placed_file import PlacedFile
from policies.errors import PolicyUnavailable

log = structlog.get_logger(__name__)

DAY_S = 86400.0
KEPT_S = 35 * DAY_S
"""An answer that began in a period is settled long before this, and a clock that was a month ahead still finds it."""
MAX_JUMP_S = DAY_S
"""What a wall clock may gain or lose on the monotonic one, by being corrected, and is still trusted to prune by."""
PRUNE_EVERY_S = 3600.0
MAX_ROWS = 200_000
"""About 40 MB. Beyond it a new name is refused: forgetting one would hand out its budget twice."""
BUSY_TIMEOUT_S = 2.0

CREATE = """CREATE TABLE IF NOT EXISTS budgets (
    name TEXT NOT NULL, period TEXT NOT NULL, charged INTEGER NOT NULL, ends_s REAL NOT NULL,
    PRIMARY KEY (name, period)) STRICT, WITHOUT ROWID"""
UPSERT = """INSERT INTO budgets (name, period, charged, ends_s) VALUES (?, ?, ?, ?)
    ON CONFLICT (name, period) DO UPDATE SET charged = MAX(charged + excluded.charged, 0)"""

Row = tuple[str, str]
Account = tuple[int, float]


class BudgetBook:
    """The budgets of one home. Owned by one event loop; `durable` and `write_later` need it running."""

    def __init__(
        self, database: sqlite3.Connection, accounts: dict[Row, Account], file: PlacedFile | None = None
    ) -> None:
        """Use `open`. `file` is None for a database in memory."""
        self._database = database
        self._file = file
        self._accounts = accounts
        self._owed: dict[Row, int] = {}
        self._dropped: list[Row] = []
        self._pruned_mono_s = -math.inf
        self._wall_ahead_s: float | None = None
        self._fault = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="budgets")
        self._writing: asyncio.Task[bool] | None = None
        self._next: asyncio.Task[bool] | None = None
        self._closed = False

    @classmethod
    def open(cls, path: Path) -> "BudgetBook":
        """The book at `path`, made (mode 0600) when missing. Raises PolicyUnavailable when it cannot be read."""
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            database = _connect(path)
        except (OSError, sqlite3.Error) as cause:
            raise PolicyUnavailable("budgets_away") from cause
        try:
            database.execute(CREATE)
            rows = database.execute("SELECT name, period, charged, ends_s FROM budgets").fetchall()
            file = PlacedFile(path, "budgets")
        except sqlite3.Error as cause:
            database.close()
            raise PolicyUnavailable("budgets_damaged") from cause
        except PolicyUnavailable:
            database.close()
            raise
        return cls(database, {(name, period): (charged, ends_s) for name, period, charged, ends_s in rows}, file)

    def charged(self, name: str, period: str) -> int:
        """Tokens charged so far."""
        return self._accounts.get((name, period), (0, 0.0))[0]

    def charge(self, name: str, period: str, charged: int, ends_s: float) -> None:
        """Set what the period has taken; in memory, until `durable`."""
        self._owe((name, period), charged - self.charged(name, period))
        self._accounts[name, period] = (charged, ends_s)

    def require_room(self, rows: Iterable[Row]) -> None:
        """Raises PolicyUnavailable when the book is too full for those of `rows` that are new."""
        if sum(row not in self._accounts for row in rows) > max(MAX_ROWS - len(self._accounts), 0):
            raise PolicyUnavailable("budgets_full")

    def prune(self, now_s: float, mono_s: float) -> None:
        """Forget periods that ended KEPT_S ago; looked for once an hour. `now_s` is Unix time, `mono_s` monotonic."""
        if mono_s - self._pruned_mono_s < PRUNE_EVERY_S:
            return
        self._pruned_mono_s = mono_s
        if self._wall_ahead_s is None:
            self._wall_ahead_s = now_s - mono_s
        if abs(now_s - mono_s - self._wall_ahead_s) > MAX_JUMP_S:
            return
        old = [row for row, (_, ends_s) in self._accounts.items() if ends_s < now_s - KEPT_S]
        for row in old:
            del self._accounts[row]
            self._owed.pop(row, None)
        self._dropped += old

    async def durable(self) -> None:
        """Return when all changes made before this call are on disk. Raises PolicyUnavailable when they are not."""
        if self._closed:
            raise PolicyUnavailable("budgets_closed")
        if self._owed or self._dropped:
            written = await asyncio.shield(self._next_write())
        elif self._writing is not None:
            written = await asyncio.shield(self._writing)
        else:
            return
        if not written:
            raise PolicyUnavailable("budgets_unwritable")

    def write_later(self) -> None:
        """See that changes get to the disk soon; a fault shows at the next `durable`."""
        if (self._owed or self._dropped) and not self._closed:
            self._next_write()

    async def close(self) -> None:
        """Write what is owed, as far as the disk takes it, and let go of the file; what comes later is not written."""
        self.write_later()
        while (task := self._next or self._writing) is not None:
            await task
        self._closed = True
        self._thread.shutdown()
        self._database.close()

    def _next_write(self) -> asyncio.Task[bool]:
        """The write that will carry everything unwritten now: one after the running one, for all who ask."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._write_after(self._writing))
        return self._next

    async def _write_after(self, running: asyncio.Task[bool] | None) -> bool:
        """Write all that is owed; what the disk did not take is owed again."""
        if running is not None:
            await running
        self._writing, self._next = self._next, None
        owed, dropped = self._owed, self._dropped
        self._owed, self._dropped = {}, []
        values = [(*row, difference, self._accounts[row][1]) for row, difference in owed.items()]
        written = False
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, values, dropped)
            written = True
            self._fault = ""
        except sqlite3.Error as fault:
            log.error("budgets_unwritable", fault=str(fault))
        except PolicyUnavailable as fault:
            self._misplaced(fault.reason)
        finally:
            self._writing = None
            if not written:
                self._dropped += dropped
                for row, difference in owed.items():
                    if row in self._accounts:  # else its period was pruned meanwhile
                        self._owe(row, difference)
        return written

    def _misplaced(self, reason: str) -> None:
        """Say once that the file is not where it was, and what to do."""
        if reason != self._fault:
            remedy = "put limits.db back as it was, or restart Corral: it goes on with what the file at that path says"
            log.error("budgets_file_lost", reason=reason, remedy=remedy)
        self._fault = reason

    def _owe(self, row: Row, difference: int) -> None:
        self._owed[row] = self._owed.get(row, 0) + difference

    def _write(self, values: list[tuple[str, str, int, float]], dropped: list[Row]) -> None:
        if self._file is not None:
            self._file.require_same()
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(UPSERT, values)
            self._database.executemany("DELETE FROM budgets WHERE name = ? AND period = ?", dropped)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        database.close()
        raise
    return database
