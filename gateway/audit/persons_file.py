"""persons.db: who stands behind which pseudonym, and the keys that open what the log says of them.

Nothing in it can be read without `persons.key`, which lies beside it in a file of its own: names are kept as HMACs
(to find a person by name while there is one), and so are the words of remarks; keys are wrapped. A remark of an
operator is kept as a person of its own. `secure_delete` overwrites what is deleted.

Both files are made together, the database first. One without the other is a fault and never made anew: with a fresh
key nothing that the log holds of persons could be opened again.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from gateway.audit.home_secret import KeysNotOpened, UnfitSecret, load_secret, make_secret

BUSY_TIMEOUT_S = 5.0
"""Another gateway of this home, or an erasure, holds the file for the length of one transaction."""
SCHEMA_VERSION = 1
CREATE = (
    """CREATE TABLE persons (
        pseudonym TEXT PRIMARY KEY, person_mac BLOB NOT NULL, name_mac BLOB NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX by_person ON persons (person_mac)",
    "CREATE INDEX by_name ON persons (name_mac)",
    """CREATE TABLE person_keys (
        key_id TEXT PRIMARY KEY, pseudonym TEXT NOT NULL, month TEXT NOT NULL, wrapped BLOB NOT NULL)
        STRICT, WITHOUT ROWID""",
    "CREATE INDEX by_month ON person_keys (pseudonym, month)",
    """CREATE TABLE remark_words (
        word_mac BLOB NOT NULL, pseudonym TEXT NOT NULL, PRIMARY KEY (word_mac, pseudonym)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX by_remark ON remark_words (pseudonym)",
    "CREATE TABLE erasures (count INTEGER NOT NULL) STRICT",
    "INSERT INTO erasures VALUES (0)",
)


class PersonsNotOpened(KeysNotOpened):
    """The persons' keys cannot be used; the message is one line with the remedy."""


def make_persons(database_path: Path, key_path: Path) -> None:
    """Make what is missing of both files in a home that has none of them yet. Raises PersonsNotOpened."""
    try:
        if not database_path.exists() and key_path.exists():
            raise PersonsNotOpened(
                f"{database_path} is missing and {key_path} is there: restore both from one backup; without it "
                "nothing that the audit log holds of persons can be opened"
            )
        if not database_path.exists():
            make_database(database_path, CREATE)
        if not key_path.exists():
            _require_unused(database_path, key_path)
            make_secret(key_path)
    except (OSError, sqlite3.Error) as fault:
        raise PersonsNotOpened(f"{database_path} cannot be made or read ({fault})") from fault


def load_persons_key(key_path: Path) -> bytes:
    """The home's secret for persons. Raises PersonsNotOpened."""
    try:
        return load_secret(key_path)
    except UnfitSecret as fault:
        raise PersonsNotOpened(str(fault)) from fault


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """An open database of our version; a missing file is a fault. Raises sqlite3.Error."""
    mode = "ro" if read_only else "rw"
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if not read_only:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA secure_delete = ON")
        database.execute("PRAGMA trusted_schema = OFF")
        if database.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
            raise sqlite3.DatabaseError("it is of another version")
    except BaseException:
        database.close()
        raise
    return database


def make_database(path: Path, statements: Iterable[str]) -> None:
    """A new database, whole or not at all, mode 0600; one that is there stays. Raises OSError, sqlite3.Error.

    SQLite gives its -wal and -shm files the mode of the database.
    """
    fresh = path.with_name(f"{path.name}.new-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as database:
            for statement in (*statements, f"PRAGMA user_version = {SCHEMA_VERSION:d}"):
                database.execute(statement)
        os.link(fresh, path)  # unlike a rename it never replaces what another gateway has just made
    except FileExistsError:
        return
    finally:
        fresh.unlink()


def _require_unused(database_path: Path, key_path: Path) -> None:
    with closing(connect(database_path)) as database:
        if database.execute("SELECT EXISTS (SELECT 1 FROM persons)").fetchone()[0]:
            raise PersonsNotOpened(
                f"{key_path} is missing: restore it from your backup; without it nothing that the audit log holds of "
                "persons can be opened"
            )
