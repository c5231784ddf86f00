"""content.db: the key of each text that is kept, wrapped, and until when it is kept.

As persons.db it is worth nothing without the secret beside it (`content.key`), and holds no trace of what was deleted.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.audit.home_secret import KeysNotOpened, UnfitSecret, load_secret, make_secret
from gateway.audit.persons_file import connect, make_database

CREATE = (
    """CREATE TABLE content_keys (
        request_id TEXT PRIMARY KEY, ref TEXT NOT NULL, team TEXT NOT NULL, pseudonym TEXT NOT NULL,
        wrapped BLOB NOT NULL, kept_until_s REAL NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX by_pseudonym ON content_keys (pseudonym)",
    "CREATE INDEX by_end ON content_keys (kept_until_s)",
)


class ContentNotOpened(KeysNotOpened):
    """What is kept of prompts and answers cannot be used; the message is one line with the remedy."""


def make_content(database_path: Path, key_path: Path) -> bytes:
    """The home's secret for content, made with its database where neither is there yet. Raises ContentNotOpened."""
    try:
        if not database_path.exists() and key_path.exists():
            raise ContentNotOpened(f"{database_path} is missing and {key_path} is there: restore both from one backup")
        make_database(database_path, CREATE)
        if not key_path.exists():
            _require_unused(database_path, key_path)
            make_secret(key_path)
        return load_secret(key_path)
    except UnfitSecret as fault:
        raise ContentNotOpened(str(fault)) from fault
    except (OSError, sqlite3.Error) as fault:
        raise ContentNotOpened(f"{database_path} cannot be made or read ({fault})") from fault


def _require_unused(database_path: Path, key_path: Path) -> None:
    with closing(connect(database_path)) as database:
        if database.execute("SELECT EXISTS (SELECT 1 FROM content_keys)").fetchone()[0]:
            raise ContentNotOpened(
                f"{key_path} is missing: restore it from your backup; without it no prompt or answer that was kept "
                "can be opened"
            )
