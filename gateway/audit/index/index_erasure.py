"""Makes the index forget persons whose keys were deleted, as soon as it is used after that.

The index counts the erasures it has followed. When there were more, by whatever process, every address whose person
nobody knows any more goes, and the words of records that had something opened are made anew from their lines. Deleted
cells are overwritten (`secure_delete`), the text index is rewritten whole so that nothing waits in it to be merged
away, and VACUUM leaves no free page behind.
"""

import sqlite3
from itertools import groupby
from pathlib import Path

from gateway.audit.index.index_rows import remove_unused
from gateway.audit.index.index_update import record_in
from gateway.audit.index.opened_records import OpenedRecords
from gateway.audit.index.segment_lines import lines_at

FOLLOWED = "erasures"


def follow_erasures(database: sqlite3.Connection, audit: Path, records: OpenedRecords) -> bool:
    """Forget whom the home has erased since; whether there was anybody. The caller is the only writer.

    Raises AuditUnavailable, OSError, sqlite3.Error; what was not finished is done at the next use.
    """
    there_were = records.refresh()
    row = database.execute("SELECT value FROM about WHERE name = ?", (FOLLOWED,)).fetchone()
    if row is not None and row[0] == there_were:
        return False
    with database:
        database.execute("BEGIN IMMEDIATE")
        _forget_addresses(database, records)
        _forget_words(database, audit, records)
        database.execute("INSERT INTO told (told) VALUES ('optimize')")
    remove_unused(database)
    database.execute("VACUUM")
    with database:
        database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (FOLLOWED, there_were))
    return True


def note_followed(database: sqlite3.Connection, erasures: int) -> None:
    """A new index holds nothing of those erased before it was begun."""
    database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (FOLLOWED, erasures))


def _forget_addresses(database: sqlite3.Connection, records: OpenedRecords) -> None:
    persons = database.execute(
        "SELECT id, text FROM names WHERE EXISTS "
        "(SELECT 1 FROM records INDEXED BY by_actor WHERE actor = names.id AND address IS NOT NULL)"
    ).fetchall()
    gone = [(number,) for number, text in persons if _is_pseudonym(text) and not records.knows(text)]
    database.executemany("UPDATE records INDEXED BY by_actor SET address = NULL WHERE actor = ?", gone)


def _forget_words(database: sqlite3.Connection, audit: Path, records: OpenedRecords) -> None:
    """Make the words anew of every record that had something opened."""
    rows = database.execute(
        "SELECT chains.name, segments.name, records.id, records.start FROM records INDEXED BY by_opened "
        "JOIN chains ON chains.id = records.chain "
        "JOIN segments ON segments.chain = records.chain AND segments.first_seq = records.segment "
        "WHERE records.opened IS NOT NULL ORDER BY 1, 2, 4"
    ).fetchall()
    for (chain, segment), found in groupby(rows, key=lambda row: row[:2]):
        places = list(found)
        lines = lines_at(audit / chain, segment, [row[3] for row in places])
        for (_, _, number, _), line in zip(places, lines, strict=True):
            record = record_in(line or b"")
            spoken = records.facts(record).spoken() if record is not None else ""
            database.execute("DELETE FROM told WHERE rowid = ?", (number,))
            database.execute("INSERT INTO told (rowid, text) VALUES (?, ?)", (number, spoken))


def _is_pseudonym(text: str) -> bool:
    """As `gateway.audit.persons` draws them: a name that an older line says in the clear is none."""
    return len(text) == 17 and text.startswith("p") and text.isalnum() and text.islower()
