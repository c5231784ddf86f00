"""The tables of keys.db beside the keys: one frozen dataclass a row, one field a column.

Sets and tuples of words lie in a column as words with a space between. How the keys themselves lie is
`key_rows`; both make one schema version.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from policies.credentials.public_key import PublicKeyRecord
from policies.credentials.revocation import Lockdown, Revocation
from policies.limiting.limit_grant import LimitGrant

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


class Table(Generic[R]):
    """One table: how it is made, its statements, and the way from a record to a row and back.

    Only names of columns, all of them fields of the class, are ever put into a statement; values are bound.
    """

    def __init__(self, name: str, kind: type[R], columns: str, identity: tuple[str, ...], newer: str) -> None:
        """`columns` is the table's definition. A record of the same `identity` replaces the row where `newer` says: one
        who has not yet heard that something has ended must not bring it back.
        """
        self.create = f"CREATE TABLE {name} ({columns}) STRICT, WITHOUT ROWID"
        self._kind: Callable[..., R] = kind
        self._names = tuple(field.name for field in fields(kind) if field.init)
        listed = ", ".join(map(_quoted, self._names))
        rest = ", ".join(f"{_quoted(each)} = excluded.{_quoted(each)}" for each in self._names if each not in identity)
        self.select = f"SELECT {listed} FROM {name}"  # noqa: S608
        self.upsert = (
            f"INSERT INTO {name} ({listed}) VALUES ({', '.join(':' + each for each in self._names)}) "  # noqa: S608
            f"ON CONFLICT ({', '.join(identity)}) DO UPDATE SET {rest} WHERE {newer}"
        )

    def read(self, database: sqlite3.Connection) -> tuple[R, ...]:
        """All records. Raises sqlite3.Error, or ValueError for a row that holds no possible record."""
        return tuple(self.record(dict(row)) for row in database.execute(self.select))

    def row(self, record: R) -> dict[str, Any]:
        """The record's values by column; also what is made JSON of, but for bytes."""
        return {name: _flat(getattr(record, name)) for name in self._names}

    def record(self, row: dict[str, Any]) -> R:
        """The record in a row. Raises ValueError or TypeError."""
        values = {name: row[name] for name in self._names}
        if "scopes" in values:
            values |= {"scopes": frozenset(values["scopes"].split()), "networks": tuple(values["networks"].split())}
        return self._kind(**values)


def _quoted(name: str) -> str:
    """Some columns are called as SQL's own words are."""
    return f'"{name}"'


def _flat(value: Any) -> Any:
    if isinstance(value, frozenset | tuple):
        return " ".join(sorted(value) if isinstance(value, frozenset) else value)
    return value


REVOCATIONS = Table(
    "revocations",
    Revocation,
    'kind TEXT NOT NULL, subject TEXT NOT NULL, at_s REAL NOT NULL, "by" TEXT NOT NULL, reason TEXT NOT NULL,'
    " PRIMARY KEY (kind, subject)",
    ("kind", "subject"),
    "excluded.at_s > at_s",
)
LOCKDOWNS = Table(
    "lockdowns",
    Lockdown,
    'team TEXT PRIMARY KEY, since_s REAL NOT NULL, "by" TEXT NOT NULL, reason TEXT NOT NULL',
    ("team",),
    "0",
)
GRANTS = Table(
    "grants",
    LimitGrant,
    'id TEXT PRIMARY KEY, team TEXT NOT NULL, "limit" TEXT NOT NULL, value INTEGER NOT NULL, until_s REAL NOT NULL,'
    ' made_s REAL NOT NULL, "by" TEXT NOT NULL, reason TEXT NOT NULL, ended_s REAL',
    ("id",),
    "ended_s IS NULL OR excluded.ended_s IS NOT NULL",
)
PUBLIC_KEYS = Table(
    "public_keys",
    PublicKeyRecord,
    "id TEXT PRIMARY KEY, blob BLOB NOT NULL UNIQUE CHECK (length(blob) = 51), team TEXT NOT NULL,"
    " owner TEXT NOT NULL, purpose TEXT NOT NULL, scopes TEXT NOT NULL, networks TEXT NOT NULL,"
    " created_s REAL NOT NULL, created_by TEXT NOT NULL, expires_s REAL,"
    " revoked_s REAL, revoked_by TEXT NOT NULL, revoked_reason TEXT NOT NULL",
    ("id",),
    "revoked_s IS NULL OR excluded.revoked_s IS NOT NULL",
)
TABLES: Sequence[Table[Any]] = (REVOCATIONS, LOCKDOWNS, GRANTS, PUBLIC_KEYS)
UNLOCK = "DELETE FROM lockdowns WHERE team = :team"
