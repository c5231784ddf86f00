"""The file of the index, `audit/index.db`: its tables, how it is opened, made anew and locked.

SQLite, mode 0600, with a rollback journal and `secure_delete`, so that what is deleted is overwritten. It is never the
truth: the segments are, and from them it can be made again at any time. So nothing in it is mended. A file that is
damaged, of another version or at odds with a segment is replaced by a new one, made beside it and renamed.

Whoever writes holds `audit/index.lock`; readers need no lock but SQLite's own.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from policies.auditing.query import COLUMNS

NAME = "index.db"
LOCK_NAME = "index.lock"
VERSION = 1
BUSY_TIMEOUT_S = 10.0
POLL_S = 0.05
CACHE_KIB = 64 * 1024
SMALL_BYTES = 64 * 1024 * 1024
"""Of log: taken in within some ten seconds."""

TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE chains (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    # How far a segment was read; `state` is the file's size and times when it was read to its end.
    """CREATE TABLE segments (
        chain INTEGER NOT NULL, first_seq INTEGER NOT NULL, name TEXT NOT NULL, read_bytes INTEGER NOT NULL,
        last_seq INTEGER NOT NULL, last_start INTEGER NOT NULL, last_digest BLOB NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (chain, first_seq)) STRICT, WITHOUT ROWID""",
    "CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE addresses (id INTEGER PRIMARY KEY, value BLOB NOT NULL UNIQUE) STRICT",
    # Rows sort by id as their times do (policies.auditing.query.row_id). `opened`: words of persons are in `told`.
    """CREATE TABLE records (
        id INTEGER PRIMARY KEY, chain INTEGER NOT NULL, segment INTEGER NOT NULL, seq INTEGER NOT NULL,
        start INTEGER NOT NULL, digest BLOB NOT NULL, event INTEGER, stage INTEGER, outcome INTEGER, reason INTEGER,
        team INTEGER, key INTEGER, actor INTEGER, model INTEGER, route INTEGER, address INTEGER, request INTEGER,
        more INTEGER, opened INTEGER) STRICT""",
    # Of requests: nothing personal, so that the texts themselves need not be kept to be taken out again.
    "CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0, detail=none)",
    # Of what else happened: few, with names in them while they may be known.
    "CREATE VIRTUAL TABLE told USING fts5(text, detail=none)",
)
INDEXES = (
    "CREATE INDEX by_place ON records (chain, seq)",
    "CREATE INDEX by_opened ON records (opened) WHERE opened IS NOT NULL",
    *(f"CREATE INDEX by_{column} ON records ({column}) WHERE {column} IS NOT NULL" for column in COLUMNS),
)


class IndexFault(Exception):
    """The index cannot be used; the message is one line with the remedy."""


class IndexBroken(Exception):
    """The file is damaged, of another version or at odds with a segment: to be made anew. The message says why."""


def require_fts5() -> None:
    """Raises IndexFault where this Python's SQLite cannot search texts."""
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
        except sqlite3.Error:
            raise IndexFault(
                f"this Python's SQLite ({sqlite3.sqlite_version}) has no FTS5: use a Python whose SQLite has it, as "
                "Debian's and python.org's do; 'corral audit tail' needs none"
            ) from None


@contextmanager
def writing(audit: Path, wait_s: float) -> Iterator[None]:
    """Be the only writer of the index in the block. Raises IndexFault when another is after `wait_s`; OSError."""
    descriptor = os.open(audit / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _give_to_owner(descriptor, audit)
        deadline_s = time.monotonic() + wait_s
        while not _locked(descriptor):
            if time.monotonic() >= deadline_s:
                raise IndexFault("another process is writing the index: try again when it is done")
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def connect(path: Path) -> sqlite3.Connection:
    """The index at `path`. Raises IndexBroken when it is none, or none that can be used."""
    try:
        database = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as fault:
        raise IndexBroken(f"it cannot be opened ({fault})") from fault
    try:
        for pragma in ("secure_delete = ON", "trusted_schema = OFF", f"cache_size = -{CACHE_KIB}"):
            database.execute(f"PRAGMA {pragma}")
        if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            raise IndexBroken("it is of another version")
    except sqlite3.OperationalError:
        database.close()
        raise
    except sqlite3.DatabaseError as fault:
        database.close()
        raise IndexBroken(f"it cannot be read ({fault})") from fault
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def made_anew(audit: Path) -> Iterator[sqlite3.Connection]:
    """A new, empty index for the block to fill; in its place when the block ends well. The caller is the writer.

    Nothing of it needs to be lasting before the end, so no journal is kept and nothing synced until then.
    Raises OSError, sqlite3.Error.
    """
    path, fresh = audit / NAME, audit / f".{NAME}.new"
    _remove(fresh)
    try:
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        _give_to_owner(descriptor, audit)
        os.close(descriptor)
        with closing(sqlite3.connect(fresh, isolation_level=None, check_same_thread=False)) as database:
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "secure_delete = ON", "cache_size = -262144"):
                database.execute(f"PRAGMA {pragma}")
            for statement in TABLES:
                database.execute(statement)
            yield database
            for statement in (*INDEXES, f"PRAGMA user_version = {VERSION:d}"):
                database.execute(statement)
        _sync(fresh)
        _remove(path)  # with a journal of a writer that died: it must never be played back into the new file
        fresh.rename(path)
        _sync(audit)
    finally:
        _remove(fresh)


def is_there(audit: Path) -> bool:
    """Whether an index was made."""
    return (audit / NAME).exists()


def stored_bytes(audit: Path) -> int:
    """How much log there is to take in. Raises OSError."""
    return sum(path.stat().st_size for path in audit.glob("*/*.jsonl*"))


def _remove(path: Path) -> None:
    """The file, and first its journal."""
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to_owner(descriptor: int, audit: Path) -> None:
    """What root makes belongs to the log's owner, whose gateway must be able to write it."""
    if os.geteuid() == 0:
        owner = audit.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
