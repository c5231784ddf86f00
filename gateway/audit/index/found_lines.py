"""The lines behind the index's rows, read again from their segments: the index is never taken at its word."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.audit.index.index_file import IndexBroken
from gateway.audit.index.index_rows import digest_of
from gateway.audit.index.index_search import Hit, Rows
from gateway.audit.index.index_update import record_in
from gateway.audit.index.segment_lines import lines_at


class FoundLine(Struct, frozen=True):
    """A line as it stands in its segment, with its record."""

    chain: str
    seq: int
    line: bytes
    record: dict[str, Any]


def newest_lines(database: sqlite3.Connection, audit: Path, hits: list[Hit]) -> list[FoundLine]:
    """The lines of `hits` in their order, each segment read once. Raises IndexBroken, OSError."""
    by_place = sorted(hits, key=lambda hit: (hit.chain, hit.segment, hit.start))
    found = dict(zip((hit.id for hit in by_place), lines_of(database, audit, by_place), strict=True))
    return [found[hit.id] for hit in hits]


def lines_of(database: sqlite3.Connection, audit: Path, hits: Iterator[Hit] | list[Hit]) -> Iterator[FoundLine]:
    """The lines of `hits`, which come in the order of their places. Raises IndexBroken, OSError."""
    rows = Rows(database)
    chains = rows.chains()
    for (chain, segment), group in groupby(hits, key=lambda hit: (hit.chain, hit.segment)):
        name, here = rows.segment_name(chain, segment), _Noted(group)
        try:
            for line in lines_at(audit / chains[chain], name, here.starts()):
                yield _found(chains[chain], here.last, line)
        except FileNotFoundError:
            raise IndexBroken(f"{chains[chain]}/{name} is gone") from None


class _Noted:
    """Hits one after the other, the last one kept."""

    def __init__(self, hits: Iterator[Hit]) -> None:
        self._hits = hits
        self.last = Hit(0, 0, 0, 0, 0, b"")

    def starts(self) -> Iterator[int]:
        for hit in self._hits:
            self.last = hit
            yield hit.start


def _found(chain: str, hit: Hit, line: bytes | None) -> FoundLine:
    record = record_in(line) if line is not None and digest_of(line) == hit.digest else None
    if record is None or line is None:
        raise IndexBroken(f"seq {hit.seq} of {chain} is not the line that was indexed")
    return FoundLine(chain, hit.seq, line, record)
