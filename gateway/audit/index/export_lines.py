"""Which lines an export hands out, and how they are written: for the command and the console alike.

Chain by chain in the order of their seqs. What is exported is fixed when it is counted: lines that are added from then
on are left to the next export, which goes on behind `ends`.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import IO

from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.found_lines import FoundLine
from gateway.audit.index.index_search import Rows
from gateway.audit.index.opened_records import OpenedRecords
from policies.auditing import export_cef, export_csv, export_ocsf, export_syslog
from policies.auditing.exported import Exported, Format
from policies.auditing.search_filter import Filter

Cursor = dict[str, int]
"""By chain the last seq that was exported."""

RENDERERS: dict[Format, Callable[[Exported], str]] = {
    "jsonl": lambda exported: f"{exported.line}\n",
    "csv": export_csv.row,
    "ocsf": lambda exported: json.dumps(export_ocsf.event(exported), ensure_ascii=True) + "\n",
    "cef": export_cef.line,
    "syslog": export_syslog.message,
}
"""What writes one record in a format, its line end too."""


class ExportLines:
    """The lines of all chains that fit, and how far each chain is done."""

    def __init__(self, index: AuditIndex, asked: Filter, cursor: Cursor) -> None:
        self._index = index
        self._asked = asked
        self.ends = dict(cursor)
        self._spans: list[tuple[int, str, tuple[int, int]]] = []

    def count(self, database: sqlite3.Connection) -> int:
        """How many there are; what is added from now on is left to the next export. Raises sqlite3.Error."""
        rows = Rows(database)
        for number, name in rows.chains().items():
            self._spans.append((number, name, (self.ends.get(name, -1), rows.last_seq(number))))
        return sum(rows.count(self._asked, number, *span) for number, _, span in self._spans)

    def lines(self, database: sqlite3.Connection) -> Iterator[FoundLine]:
        """One chain after the other. Raises IndexBroken, AuditUnavailable, OSError, sqlite3.Error."""
        for number, name, span in self._spans:
            for line in self._index.walk(database, self._asked, number, span):
                yield line
                self.ends[name] = line.seq
            self.ends[name] = max(span)


def pour(
    lines: Iterator[FoundLine], form: Format, out: IO[bytes], opening: OpenedRecords | None, most: int | None = None
) -> int:
    """Write the lines in a format; how many. `opening` opens names and addresses, without it they stay sealed.

    After `most` it stops. Raises what `lines` raises, and OSError of `out`.
    """
    if form == "csv":
        out.write(export_csv.header().encode())
    written = 0
    for line in lines:
        if written == most:
            break
        record = opening.opened(line.record) if opening else line.record
        exported = Exported(chain=line.chain, seq=line.seq, line=line.line.decode(), record=record)
        out.write(RENDERERS[form](exported).encode("utf-8", "surrogatepass"))
        written += 1
    out.flush()
    return written
