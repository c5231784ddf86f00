"""content.db: the key of each text that is kept, wrapped, and until when it is kept.

As persons.db it is worth nothing without the secret beside it (`content.key`), and holds no trace of what was deleted.
"""

from pathlib import Path

from gateway.audit.home_secret import KeysNotOpened
from gateway.audit.keyed_database import KeyedDatabase


class ContentNotOpened(KeysNotOpened):
    """What is kept of prompts and answers cannot be used; the message is one line with the remedy."""


CONTENT = KeyedDatabase(
    create=(
        """CREATE TABLE content_keys (
            request_id TEXT PRIMARY KEY, ref TEXT NOT NULL, team TEXT NOT NULL, pseudonym TEXT NOT NULL,
            wrapped BLOB NOT NULL, kept_until_s REAL NOT NULL) STRICT, WITHOUT ROWID""",
        "CREATE INDEX by_pseudonym ON content_keys (pseudonym)",
        "CREATE INDEX by_end ON content_keys (kept_until_s)",
    ),
    table="content_keys",
    fault=ContentNotOpened,
    lost="no prompt or answer that was kept can be opened",
)


def make_content(database_path: Path, key_path: Path) -> bytes:
    """The home's secret for content, made with its database where neither is there yet. Raises ContentNotOpened."""
    CONTENT.make(database_path, key_path)
    return CONTENT.secret(key_path)
