"""The index as its users see it: brought up to date, asked, made anew where it is at odds with the log."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from gateway.audit.index import index_file
from gateway.audit.index.found_lines import FoundLine, lines_of, newest_lines
from gateway.audit.index.index_erasure import follow_erasures, note_followed
from gateway.audit.index.index_file import IndexBroken, IndexFault
from gateway.audit.index.index_search import Rows
from gateway.audit.index.index_update import NO_END, Taken, update
from gateway.audit.index.opened_records import OpenedRecords
from policies.auditing.search_filter import Filter, matches

PATIENCE = 2
"""How often an index that is at odds with the log is made anew before it is the log that is called changed."""
WAIT_S = 30.0
"""How long a command waits for another process that writes the index."""
TOLD_ANEW = "the index was at odds with the log and was made anew"


class Found(Struct):
    """Newest first. `notes` are what the reader should know of the log or the index."""

    lines: list[FoundLine]
    notes: list[str]


class AuditIndex:
    """The index of the chains under `audit`, seen through `records`. One command or thread at a time uses it."""

    def __init__(self, audit: Path, records: OpenedRecords) -> None:
        """Raises IndexFault where SQLite cannot search texts."""
        index_file.require_fts5()
        self._audit = audit
        self._records = records

    def search(self, asked: Filter, limit: int, before: tuple[str, int] | None = None) -> Found:
        """The newest records that fit, at most `limit`; of those older than the record `before` (chain and seq).

        Raises IndexFault, ValueError for a `before` that is not there, AuditUnavailable, OSError, sqlite3.Error.
        """
        notes: list[str] = []
        for _ in range(PATIENCE):
            notes += self.refresh().notes
            try:
                return Found(self._search(asked, limit, before), notes)
            except IndexBroken as fault:
                notes.append(f"{fault}: {TOLD_ANEW}; run 'corral audit verify'")
                self.rebuild()
        raise IndexFault("the log changes while it is read: run 'corral audit verify'")

    def refresh(self, most: int = NO_END, wait_s: float = WAIT_S) -> Taken:
        """Take in what is new, at most `most` records, and forget who was erased. Raises as `search`."""
        with self._writing(wait_s):
            try:
                with closing(index_file.connect(self._audit / index_file.NAME)) as database:
                    follow_erasures(database, self._audit, self._records)
                    return update(database, self._audit, self._records, most)
            except IndexBroken as fault:
                told = [f"{fault}: {TOLD_ANEW}"] if index_file.is_there(self._audit) else []
            taken = self._make_anew()
            taken.notes[:0] = told
            return taken

    def rebuild(self) -> Taken:
        """Make the index anew from all segments. Raises as `search`."""
        with self._writing(WAIT_S):
            return self._make_anew()

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The index as it is. Raises IndexBroken."""
        with closing(index_file.connect(self._audit / index_file.NAME)) as database:
            yield database

    def walk(
        self, database: sqlite3.Connection, asked: Filter, chain: int, span: tuple[int, int]
    ) -> Iterator[FoundLine]:
        """All lines of one chain that fit, by seq, those after the first and up to the second of `span`.

        Raises IndexBroken, AuditUnavailable, OSError, sqlite3.Error.
        """
        hits = Rows(database).in_order(asked, chain, *span)
        return self._fitting(asked, lines_of(database, self._audit, hits))

    def _search(self, asked: Filter, limit: int, before: tuple[str, int] | None) -> list[FoundLine]:
        with self.opened() as database:
            rows = Rows(database)
            last = rows.id_at(*before) if before is not None else None
            if before is not None and last is None:
                raise ValueError(f"no record has seq {before[1]} in a chain {before[0]!r}")
            hits = rows.newest(asked, limit, last)
            return list(self._fitting(asked, iter(newest_lines(database, self._audit, hits))))

    def _fitting(self, asked: Filter, lines: Iterator[FoundLine]) -> Iterator[FoundLine]:
        """Without those that only share a number with what was asked, or whose person was erased meanwhile."""
        return (line for line in lines if matches(asked, self._records.facts(line.record)))

    def _make_anew(self) -> Taken:
        erasures = self._records.refresh()
        with index_file.made_anew(self._audit) as database:
            taken = update(database, self._audit, self._records)
            note_followed(database, erasures)
        return taken

    @contextmanager
    def _writing(self, wait_s: float) -> Iterator[None]:
        with index_file.writing(self._audit, wait_s):
            yield
