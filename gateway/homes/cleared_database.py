"""Leaves no trace of what was deleted from a SQLite file: not in a free page, not in the write-ahead log."""

import sqlite3


def clear_traces(database: sqlite3.Connection) -> None:
    """Rewrite the file of `database` without free pages, and empty its write-ahead log. Raises sqlite3.Error.

    The log is emptied before and after: VACUUM itself goes through it. A connection that deletes has `secure_delete`
    on, so that what lies in a page beside other rows is overwritten too.
    """
    for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        row = database.execute(statement).fetchone()
        if row is not None and row[0]:
            raise sqlite3.OperationalError("another process holds the file: its write-ahead log could not be emptied")
