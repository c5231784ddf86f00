"""What a sign-off is about, found in the log: the stretches that a time covers, and what somebody changed in them."""

import sqlite3

from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.index_search import Rows
from gateway.audit.index.opened_records import opened_records
from gateway.homes.home import Home
from policies.auditing.query import row_id
from policies.auditing.review import Span
from policies.auditing.search_filter import Filter
from policies.worded import worded


class SpanUnknown(Exception):
    """A stretch is named that the log does not have; the message is one line."""


def spans_of(database: sqlite3.Connection, asked: Filter) -> tuple[Span, ...]:
    """Of each chain the records of the time asked, in the order of the chains' names. Raises sqlite3.Error.

    A clock may have been set back, so a stretch can hold records beyond the time; none of the time is left out.
    """
    first = 0 if asked.since_us is None else row_id(asked.since_us)
    last = 2**63 - 1 if asked.until_us is None else row_id(asked.until_us)
    found = ((name, _ends(database, number, first, last)) for number, name in Rows(database).chains().items())
    return tuple(Span(name, *ends) for name, ends in found if ends is not None)


def changes_of(home: Home, name: str, spans: tuple[Span, ...]) -> int:
    """How many changes in `spans` a person called `name` made, whoever vouches for them. Blocks.

    Raises SpanUnknown, PersonsNotOpened, IndexFault, IndexBroken, AuditUnavailable, sqlite3.Error, OSError.
    """
    with opened_records(home) as records:
        index = AuditIndex(home.audit, records)
        index.refresh()
        asked = Filter(actors=tuple(dict.fromkeys((*records.pseudonyms(name), name))), ask="changes")
        with index.opened() as database:
            rows = Rows(database)
            numbers = {chain: number for number, chain in rows.chains().items()}
            for span in spans:
                if span.chain not in numbers or span.last > rows.last_seq(numbers[span.chain]):
                    raise SpanUnknown(worded(f"the log has no records {span.text}", "span_unknown", span=span.text))
            return sum(rows.count(asked, numbers[span.chain], span.first - 1, span.last) for span in spans)


def _ends(database: sqlite3.Connection, chain: int, first: int, last: int) -> tuple[int, int] | None:
    """The first and the last seq of a chain between two rows; None where it has none there."""
    # by_place holds the ids too, so this reads the index alone.
    sql = "SELECT min(seq), max(seq) FROM records INDEXED BY by_place WHERE chain = ? AND id >= ? AND id < ?"
    lowest, highest = database.execute(sql, (chain, first, last)).fetchone()
    return None if lowest is None else (lowest, highest)
