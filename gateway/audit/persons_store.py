"""The rows of persons.db: looked up at once, written together and later, deleted without a trace.

What is to be written waits in memory (`owe_person`, `owe_key`) until `flush`, so that whoever owes it, on the event
loop, never waits for the disk. Two connections: one for look-ups, one for writing, which goes on in another thread.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.audit.keyed_database import connect
from gateway.homes.cleared_database import clear_traces
from gateway.homes.placed_file import PlacedFile
from policies.errors import AuditUnavailable, PolicyUnavailable

INSERT_PERSON = "INSERT INTO persons (pseudonym, person_mac, name_mac) VALUES (:pseudonym, :person_mac, :name_mac)"
INSERT_KEY = """INSERT INTO person_keys (key_id, pseudonym, month, wrapped)
    SELECT :key_id, :pseudonym, :month, :wrapped WHERE EXISTS (SELECT 1 FROM persons WHERE pseudonym = :pseudonym)"""
"""A key for somebody who was erased meanwhile is not kept."""
INSERT_WORD = "INSERT INTO remark_words (word_mac, pseudonym) VALUES (?, ?)"
DELETE = tuple(f"DELETE FROM {table} WHERE pseudonym = ?" for table in ("person_keys", "persons", "remark_words"))  # noqa: S608
DROP_REMARKS = tuple(
    f"DELETE FROM {table} WHERE pseudonym LIKE 'r%' "  # noqa: S608 (names of ours)
    f"AND NOT EXISTS (SELECT 1 FROM person_keys WHERE person_keys.pseudonym = {table}.pseudonym)"
    for table in ("remark_words", "persons")
)
"""A remark has one key, of its month; pseudonyms of remarks begin with r, those of persons with p."""

Row = dict[str, Any]


class KeyRow(Struct, frozen=True):
    """One key, wrapped; `month` is like 2026-11."""

    key_id: str
    pseudonym: str
    month: str
    wrapped: bytes


class PersonRow(Struct, frozen=True):
    """One person; the MACs find them by what they are called, with and without who vouches for them.

    A remark is one too, found by `words`, the MACs of all of them.
    """

    pseudonym: str
    person_mac: bytes
    name_mac: bytes
    words: tuple[bytes, ...] = ()


class PersonsStore:
    """The file at `path`, open. Look-ups are one thread's; `flush` and `erase` may run in others."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Raises sqlite3.Error, PolicyUnavailable."""
        self._file = PlacedFile(path, "persons")
        self._reading = connect(path, read_only=read_only)
        try:
            self._writing = connect(path, read_only=read_only)
        except BaseException:
            self._reading.close()
            raise
        self._disk = threading.Lock()
        self._memory = threading.Lock()
        self._persons: dict[str, PersonRow] = {}
        self._keys: dict[str, KeyRow] = {}

    def person(self, person_mac: bytes) -> str | None:
        """The pseudonym of a person, the first where two gateways met them at once. Raises AuditUnavailable."""
        rows = self._select("SELECT pseudonym FROM persons WHERE person_mac = ? ORDER BY pseudonym", person_mac)
        return rows[0][0] if rows else None

    def called(self, name_mac: bytes) -> tuple[str, ...]:
        """The pseudonyms of all persons of a name. Raises AuditUnavailable."""
        with self._memory:
            owed = {each.pseudonym for each in self._persons.values() if each.name_mac == name_mac}
        rows = self._select("SELECT pseudonym FROM persons WHERE name_mac = ?", name_mac)
        return tuple(sorted(owed | {row[0] for row in rows}))

    def remarks_with(self, words: tuple[bytes, ...]) -> tuple[str, ...]:
        """The remarks that hold all of `words` (at least one). Raises AuditUnavailable."""
        with self._memory:
            owed = {each.pseudonym for each in self._persons.values() if words and set(words) <= set(each.words)}
        found: set[str] | None = None
        for word in words:
            rows = self._select("SELECT pseudonym FROM remark_words WHERE word_mac = ?", word)
            found = {row[0] for row in rows} if found is None else found & {row[0] for row in rows}
        return tuple(sorted(owed | (found or set())))

    def knows(self, pseudonym: str) -> bool:
        """Whether there is such a person. Raises AuditUnavailable."""
        with self._memory:
            owed = pseudonym in self._persons
        return owed or bool(self._select("SELECT 1 FROM persons WHERE pseudonym = ?", pseudonym))

    def key(self, key_id: str) -> KeyRow | None:
        """The key called `key_id`. Raises AuditUnavailable."""
        with self._memory:
            owed = self._keys.get(key_id)
        rows = () if owed else self._select("SELECT * FROM person_keys WHERE key_id = ?", key_id)
        return owed or (KeyRow(*rows[0]) if rows else None)

    def any_key(self) -> KeyRow | None:
        """One of the keys. Raises AuditUnavailable."""
        rows = self._select("SELECT * FROM person_keys LIMIT 1")
        return KeyRow(*rows[0]) if rows else None

    def key_of_month(self, pseudonym: str, month: str) -> KeyRow | None:
        """A key of the person for the month. Raises AuditUnavailable."""
        rows = self._select("SELECT * FROM person_keys WHERE pseudonym = ? AND month = ?", pseudonym, month)
        return KeyRow(*rows[0]) if rows else None

    def count_keys(self, pseudonym: str) -> int:
        """How many keys open what is kept of them, so far as they are written. Raises AuditUnavailable."""
        return int(self._select("SELECT COUNT(*) FROM person_keys WHERE pseudonym = ?", pseudonym)[0][0])

    def erasures(self) -> int:
        """How often somebody was erased, by any process. Raises AuditUnavailable."""
        return int(self._select("SELECT count FROM erasures")[0][0])

    def owe_person(self, row: PersonRow) -> None:
        """To be written by `flush`."""
        with self._memory:
            self._persons[row.pseudonym] = row

    def owe_key(self, row: KeyRow) -> None:
        """To be written by `flush`."""
        with self._memory:
            self._keys[row.key_id] = row

    def flush(self) -> None:
        """Write what is owed; lasting when this returns. Blocks; raises OSError and owes it still."""
        if not self._persons and not self._keys:
            return
        with self._changing():
            with self._memory:  # under the lock of the disk: what is erased meanwhile must not come back
                persons, keys = list(self._persons.values()), list(self._keys.values())
            self._writing.executemany(INSERT_PERSON, [_row(each) for each in persons])
            words = [(word, each.pseudonym) for each in persons for word in each.words]
            self._writing.executemany(INSERT_WORD, words)
            self._writing.executemany(INSERT_KEY, [_row(each) for each in keys])
            self._writing.execute("COMMIT")
            with self._memory:
                for person in persons:
                    self._persons.pop(person.pseudonym, None)
                for key in keys:
                    self._keys.pop(key.key_id, None)

    def erase(self, pseudonyms: tuple[str, ...]) -> None:
        """Delete their rows and keys, and every trace of them in the file. Blocks; raises OSError.

        What was deleted before a failure stays deleted; doing it again clears the traces.
        """
        with self._changing():
            with self._memory:
                self._persons = {name: each for name, each in self._persons.items() if name not in pseudonyms}
                self._keys = {name: each for name, each in self._keys.items() if each.pseudonym not in pseudonyms}
            for statement in DELETE:
                self._writing.executemany(statement, [(each,) for each in pseudonyms])
            self._writing.execute("UPDATE erasures SET count = count + 1")
            self._writing.execute("COMMIT")
            clear_traces(self._writing)

    def drop_before(self, month: str) -> int:
        """Delete the keys of earlier months without a trace, and remarks that have no other; how many keys.

        Persons stay, so that whoever comes back has the pseudonym that they had. Blocks; raises OSError.
        """
        with self._changing():
            dropped = int(self._writing.execute("DELETE FROM person_keys WHERE month < ?", (month,)).rowcount)
            if not dropped:
                return 0
            for statement in DROP_REMARKS:
                self._writing.execute(statement)
            self._writing.execute("UPDATE erasures SET count = count + 1")
            self._writing.execute("COMMIT")
            clear_traces(self._writing)
        return dropped

    def close(self) -> None:
        """Give the file back. What is owed belongs to lines that were never written."""
        self._reading.close()
        self._writing.close()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """One transaction of this process at a time; the block commits. Raises OSError for all that can fail."""
        with self._disk:
            try:
                self._file.require_same()
                self._writing.execute("BEGIN IMMEDIATE")
                try:
                    yield
                finally:
                    if self._writing.in_transaction:
                        self._writing.rollback()
            except (sqlite3.Error, PolicyUnavailable) as fault:
                raise OSError(5, f"persons.db: {fault}") from fault  # EIO

    def _select(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._reading.execute(statement, values).fetchall()
        except sqlite3.Error as fault:
            raise AuditUnavailable("audit_persons") from fault


def _row(record: Struct) -> Row:
    return {name: getattr(record, name) for name in record.__struct_fields__ if name != "words"}
