"""How a `KeyRecord` lies in the table: the columns, the statements, and the way there and back."""

import sqlite3
from dataclasses import fields

from policies.credentials.key_record import KeyRecord

SCHEMA_VERSION = 3
"""Goes up with every change of a table. The version before is upgraded when it is opened; no other is opened.

3 added the tables of `gateway.keys.tables`; the keys' own table is that of 2.
"""
UPGRADED_VERSION = 2

CREATE = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY, team TEXT NOT NULL, owner TEXT NOT NULL, purpose TEXT NOT NULL,
    scopes TEXT NOT NULL, networks TEXT NOT NULL,
    created_s REAL NOT NULL, created_by TEXT NOT NULL,
    not_before_s REAL NOT NULL, expires_s REAL, review_s REAL NOT NULL,
    revoked_s REAL, revoked_by TEXT NOT NULL, revoked_reason TEXT NOT NULL,
    predecessor_id TEXT NOT NULL, successor_id TEXT NOT NULL, overlap_ends_s REAL,
    pepper_version INTEGER NOT NULL, digest BLOB NOT NULL CHECK (length(digest) = 32),
    last_used_s REAL, last_ip TEXT NOT NULL
) STRICT, WITHOUT ROWID
"""

COLUMNS = tuple(field.name for field in fields(KeyRecord) if field.init)
_SETS = {"scopes", "networks"}

# A gateway that has not yet heard of a revocation must not undo it with a change of its own.
# Only names of columns, all of them from the class above, are ever put into a statement; values are bound.
SELECT = f"SELECT {', '.join(COLUMNS)} FROM keys"  # noqa: S608
UPSERT = (
    f"INSERT INTO keys ({', '.join(COLUMNS)}) VALUES ({', '.join(':' + name for name in COLUMNS)}) "  # noqa: S608
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS if name != 'id')} "
    "WHERE revoked_s IS NULL OR excluded.revoked_s IS NOT NULL"
)
TOUCH = "UPDATE keys SET last_used_s = :last_used_s, last_ip = :last_ip WHERE id = :id"


def write_row(record: KeyRecord) -> dict[str, object]:
    """The record's values by column; sets as words with a space between."""
    row: dict[str, object] = {name: getattr(record, name) for name in COLUMNS}
    return row | {"scopes": " ".join(sorted(record.scopes)), "networks": " ".join(record.networks)}


def read_row(row: sqlite3.Row) -> KeyRecord:
    """The record in a row of SELECT. Raises ValueError when the row holds no possible key."""
    values = {name: row[name] for name in COLUMNS if name not in _SETS}
    return KeyRecord(scopes=frozenset(row["scopes"].split()), networks=tuple(row["networks"].split()), **values)
