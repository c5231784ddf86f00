"""Records as rows of the index: texts become numbers, times become ids, and back out again."""

import hashlib
import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from policies.auditing.query import row_id
from policies.auditing.record_facts import Facts, words_of

DIGEST_BYTES = 16
"""Of the line's SHA-256: enough to see that a line is another one; what proves it is the chain itself."""
MAX_REMEMBERED = 100_000
TEXTS = ("event", "stage", "outcome", "reason", "team", "key", "actor", "model", "route")
_INSERT = f"INSERT INTO records VALUES ({', '.join('?' * 19)})"  # noqa: S608 (placeholders)
_TOLD = ("event", "reason", "team", "key", "model", "route", "more")
"""What `Facts.spoken` puts together, in its order."""
_BATCH = 2_000

Row = tuple[int | bytes | None, ...]


class Indexed(Struct, frozen=True):
    """A line as the index takes it in: its place, its digest and what it is found by."""

    seq: int
    start: int
    digest: bytes
    facts: Facts
    opened: bool = False
    """Whether words of persons are among its own."""


class Names:
    """Texts as numbers, and addresses too; new ones are written when they are first met."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._known: dict[str | bytes, int] = {}

    def number(self, text: str | bytes) -> int | None:
        """The number of a text or an address, made if it is new; None for nothing."""
        if not text:
            return None
        known = self._known.get(text)
        return known if known is not None else self._remember(text)

    def find(self, text: str | bytes) -> int | None:
        """The number, if it has one."""
        table, column = _table_of(text)
        row = self._database.execute(f"SELECT id FROM {table} WHERE {column} = ?", (text,)).fetchone()  # noqa: S608
        return row[0] if row else None

    def forget(self) -> None:
        """What was written may have been taken back."""
        self._known.clear()

    def _remember(self, text: str | bytes) -> int:
        number = self.find(text)
        if number is None:
            table, column = _table_of(text)
            number = self._database.execute(f"INSERT INTO {table} ({column}) VALUES (?)", (text,)).lastrowid or 0  # noqa: S608
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[text] = number
        return number


def digest_of(line: bytes) -> bytes:
    """What stands for a line's exact bytes."""
    return hashlib.sha256(line).digest()[:DIGEST_BYTES]


def request_number(request: str) -> int | None:
    """A request's id as a number; two may share one, which reading the line tells apart."""
    if not request:
        return None
    return int.from_bytes(hashlib.sha256(request.encode()).digest()[:8], "big", signed=True)


def insert(database: sqlite3.Connection, names: Names, place: tuple[int, int], lines: Iterable[Indexed]) -> None:
    """Take lines in; `place` is their chain's number and their segment's first seq. Within a transaction."""
    last = database.execute("SELECT max(id) FROM records").fetchone()[0]
    newest, previous = -1 if last is None else last, -1
    rows: list[Row] = []
    words: list[tuple[int, str]] = []
    told: list[tuple[int, str]] = []
    for line in sorted(lines, key=lambda each: (each.facts.at_us, each.seq)):
        previous = max(row_id(line.facts.at_us), previous + 1)
        while previous <= newest and _is_taken(database, previous):
            previous += 1
        rows.append(_row(previous, place, line, names))
        (words if line.facts.request else told).append((previous, line.facts.spoken()))
    database.executemany(_INSERT, rows)
    database.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", words)
    database.executemany("INSERT INTO told (rowid, text) VALUES (?, ?)", told)


def remove(database: sqlite3.Connection, chain: int, first_seq: int, last_seq: int) -> None:
    """Take the rows of one segment out, in short transactions."""
    while _remove_some(database, chain, first_seq, last_seq):
        pass
    with database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM segments WHERE chain = ? AND first_seq = ?", (chain, first_seq))


def remove_unused(database: sqlite3.Connection) -> None:
    """Take names and addresses out that no row has any more."""
    unused = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM records WHERE {column} = names.id)"  # noqa: S608
        for column in TEXTS
    )
    with database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TEMP TABLE spoken AS SELECT DISTINCT more FROM main.records WHERE more IS NOT NULL")
        database.execute(f"DELETE FROM names WHERE {unused} AND id NOT IN (SELECT more FROM spoken)")  # noqa: S608
        database.execute("DROP TABLE spoken")
        database.execute("DELETE FROM addresses WHERE NOT EXISTS (SELECT 1 FROM records WHERE address = addresses.id)")


def _remove_some(database: sqlite3.Connection, chain: int, first_seq: int, last_seq: int) -> bool:
    """Whether there was something."""
    with database:
        database.execute("BEGIN IMMEDIATE")
        texts = ", ".join(f"coalesce((SELECT text FROM names WHERE id = {each}), '')" for each in _TOLD)  # noqa: S608
        rows = database.execute(
            f"SELECT id, request, {texts} FROM records INDEXED BY by_place "  # noqa: S608 (names of this module)
            f"WHERE chain = ? AND seq >= ? AND seq <= ? ORDER BY seq LIMIT {_BATCH:d}",
            (chain, first_seq, last_seq),
        ).fetchall()
        database.executemany(
            "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)",
            [(number, " ".join(words_of(" ".join(said)))) for number, request, *said in rows if request is not None],
        )
        database.executemany("DELETE FROM told WHERE rowid = ?", [(row[0],) for row in rows if row[1] is None])
        database.executemany("DELETE FROM records WHERE id = ?", [row[:1] for row in rows])
    return bool(rows)


def _row(number: int, place: tuple[int, int], line: Indexed, names: Names) -> Row:
    facts = line.facts
    return (
        number,
        *place,
        line.seq,
        line.start,
        line.digest,
        *(names.number(getattr(facts, name)) for name in TEXTS),
        names.number(facts.address),
        request_number(facts.request),
        names.number(facts.more) if facts.request else None,
        1 if line.opened else None,
    )


def _table_of(text: str | bytes) -> tuple[str, str]:
    return ("names", "text") if isinstance(text, str) else ("addresses", "value")


def _is_taken(database: sqlite3.Connection, number: int) -> bool:
    return database.execute("SELECT 1 FROM records WHERE id = ?", (number,)).fetchone() is not None
