"""A SQLite file of wrapped keys, and the secret beside it that unwraps them.

Both files are made together, the database first. One without the other is a fault and never made anew: with a fresh
secret nothing that the log holds under the old one could be opened again. `secure_delete` overwrites what is deleted.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from gateway.audit.home_secret import KeysNotOpened, UnfitSecret, load_secret, make_secret

BUSY_TIMEOUT_S = 5.0
"""Another gateway of this home, or an erasure, holds the file for the length of one transaction."""
SCHEMA_VERSION = 1


class KeyedDatabase(Struct, frozen=True, kw_only=True):
    """One kind of such a pair.

    `create` makes its tables, of which `table` has a row as soon as anything was kept. `fault` is what is raised, and
    `lost` says what cannot be opened without the missing file.
    """

    create: tuple[str, ...]
    table: str
    fault: type[KeysNotOpened]
    lost: str

    def make(self, database_path: Path, key_path: Path) -> None:
        """Make what is missing of both files in a home that has none of them yet. Raises `fault`."""
        try:
            if not database_path.exists():
                self._require_no_secret(database_path, key_path)
                make_database(database_path, self.create)
            if not key_path.exists():
                self._require_unused(database_path, key_path)
                make_secret(key_path)
        except (OSError, sqlite3.Error) as fault:
            raise self.fault(f"{database_path} cannot be made or read ({fault})") from fault

    def secret(self, key_path: Path) -> bytes:
        """The secret. Raises `fault`."""
        try:
            return load_secret(key_path)
        except UnfitSecret as fault:
            raise self.fault(str(fault)) from fault

    def _require_no_secret(self, database_path: Path, key_path: Path) -> None:
        if key_path.exists():
            raise self.fault(
                f"{database_path} is missing and {key_path} is there: restore both from one backup; "
                f"without it {self.lost}"
            )

    def _require_unused(self, database_path: Path, key_path: Path) -> None:
        with closing(connect(database_path)) as database:
            used = database.execute(f"SELECT EXISTS (SELECT 1 FROM {self.table})").fetchone()[0]  # noqa: S608 (ours)
        if used:
            raise self.fault(f"{key_path} is missing: restore it from your backup; without it {self.lost}")


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
