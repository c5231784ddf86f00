"""The log as the audit pages read it: in a thread, within bounds of time and rows, never more than two at a time.

A page must not hold the event loop, nor the disk for minutes: what takes longer is refused with words that say how to
ask for less, or which command has no bound. The index is taken as near to the log as a moment allows; what may be
missing is told with the answer (`notes`).
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.found_lines import FoundLine, newest_lines
from gateway.audit.index.index_file import SMALL_BYTES, IndexBroken, IndexFault, is_there, stored_bytes
from gateway.audit.index.index_search import Hit, Rows
from gateway.audit.index.opened_records import OpenedRecords, PersonsNotOpened, opened_records
from gateway.audit.index.saved_queries import QueryFault
from gateway.console.page import Turned
from gateway.homes.home import Home
from policies.auditing.conditions import Place
from policies.auditing.search_filter import Filter, matches
from policies.errors import AuditUnavailable
from policies.worded import line_of

SECONDS = 10.0
"""What one question may take; a search over ten million records takes one."""
TAKEN_IN = 20_000
"""Records that a page takes into the index first; the gateway does the rest (gateway/audit/index/index_keeper.py)."""
WAIT_S = 1.0
AT_ONCE = 2
STEPS = 20_000
"""SQLite's own steps between two looks at the clock: about a millisecond."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """One look into the log. `notes` are sentences about it or its index; `behind`: the newest may be missing."""

    index: AuditIndex
    records: OpenedRecords
    database: sqlite3.Connection
    notes: list[str] = field(default_factory=list)
    behind: bool = False

    @property
    def rows(self) -> Rows:
        """The index's own answers."""
        return Rows(self.database)

    def hits(self, asked: Filter, limit: int, before: Place | None = None) -> list[Hit]:
        """The newest rows that fit. Raises Turned for a `before` that is not there, sqlite3.Error."""
        last = self.rows.id_at(*before) if before is not None else None
        if before is not None and last is None:
            raise Turned(404, "audit.no_record")
        return self.rows.newest(asked, limit, last)

    def lines(self, asked: Filter, hits: list[Hit], home: Home) -> list[FoundLine]:
        """Their lines, read again, without those that only share a number with what was asked."""
        found = newest_lines(self.database, home.audit, hits)
        return [line for line in found if matches(asked, self.records.facts(line.record))]


Settle = Callable[[], Awaitable[None]]


class LogReading:
    """What reads the log of one home for pages. `settle` lets its head name all that was recorded until now."""

    def __init__(self, home: Home, seconds: float = SECONDS, settle: Settle | None = None) -> None:
        self.home = home
        self._seconds = seconds
        self._settle = settle
        self._places = asyncio.Semaphore(AT_ONCE)

    async def ask(self, question: Callable[[Reading], T], seconds: float | None = None) -> T:
        """What `question` answers, in a thread, within its seconds. Raises Turned."""
        bound_s = self._seconds if seconds is None else seconds
        if self._settle is not None:
            await self._settle()
        async with self._places:
            return await asyncio.to_thread(self._answer, question, bound_s)

    async def work(self, act: Callable[[], T]) -> T:
        """What `act` answers, in a thread, in one of the places for questions."""
        async with self._places:
            return await asyncio.to_thread(act)

    def _answer(self, question: Callable[[Reading], T], seconds: float) -> T:
        with told_faults(seconds), _opened(self.home, seconds) as reading:
            return question(reading)


@contextmanager
def told_faults(seconds: float) -> Iterator[None]:
    """All that can go wrong in reading, as what a page says of it."""
    try:
        yield
    except QueryFault as fault:
        raise Turned(400, "", line=line_of(fault)) from None
    except (IndexFault, PersonsNotOpened) as fault:
        raise Turned(503, "", line=line_of(fault)) from None
    except IndexBroken as fault:
        raise Turned(503, "audit.index_broken", cause=str(fault)) from None
    except AuditUnavailable as fault:
        raise Turned(503, "", line=fault.reason) from None
    except sqlite3.OperationalError as fault:
        if fault.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise Turned(503, "audit.too_slow", seconds=round(seconds)) from None
        raise Turned(503, "", line=str(fault)) from None
    except (sqlite3.Error, OSError) as fault:
        raise Turned(503, "", line=str(fault)) from None


@contextmanager
def _opened(home: Home, seconds: float) -> Iterator[Reading]:
    if not is_there(home.audit) and stored_bytes(home.audit) > SMALL_BYTES:
        raise Turned(503, "audit.no_index")
    until = time.monotonic() + seconds
    with opened_records(home) as records:
        index = AuditIndex(home.audit, records)
        notes, behind = _taken_in(index)
        with index.opened() as database:
            database.set_progress_handler(lambda: time.monotonic() > until, STEPS)
            yield Reading(index, records, database, notes, behind)


def _taken_in(index: AuditIndex) -> tuple[list[str], bool]:
    """Notes, and whether something may be missing: another process may be writing the index for long."""
    try:
        taken = index.refresh(TAKEN_IN, WAIT_S)
    except IndexFault:
        return [], True
    return taken.notes, taken.unfinished
