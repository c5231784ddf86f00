"""Takes a person out of keys.db: who owns, made or revoked a key, whose lockdown or exception it was, and why.

What is decided by stays: a key keeps its state, and a revocation of the person goes on refusing their tokens; who does
not want that name kept either lifts the revocation first. A reason or purpose goes when it holds every word of the
name, as in the audit log (`policies.auditing.person_fields.words_of`).
"""

import sqlite3

from gateway.homes.cleared_database import clear_traces
from policies.auditing.person_fields import words_of

NAMES = {
    "keys": ("owner", "created_by", "revoked_by"),
    "public_keys": ("owner", "created_by", "revoked_by"),
    "revocations": ("by",),
    "lockdowns": ("by",),
    "grants": ("by",),
}
REMARKS = {
    "keys": ("purpose", "revoked_reason"),
    "public_keys": ("purpose", "revoked_reason"),
    "revocations": ("reason",),
    "lockdowns": ("reason",),
    "grants": ("reason",),
}


def forget_person(database: sqlite3.Connection, name: str) -> None:
    """Blank what names `name`, all of it or nothing, and clear its traces. Raises sqlite3.Error."""
    words = words_of(name)
    database.create_function("holds_name", 1, lambda text: words <= words_of(text), deterministic=True)
    database.execute("PRAGMA secure_delete = ON")
    with database:
        database.execute("UPDATE keys SET last_ip = '' WHERE owner = :name OR last_ip = :name", {"name": name})
        for table, columns in NAMES.items():
            for column in columns:
                database.execute(
                    f'UPDATE {table} SET "{column}" = \'\' WHERE "{column}" = :name',  # noqa: S608
                    {"name": name},
                )
        for table, columns in REMARKS.items():
            for column in columns:
                database.execute(f'UPDATE {table} SET "{column}" = \'\' WHERE holds_name("{column}")')  # noqa: S608
    clear_traces(database)
