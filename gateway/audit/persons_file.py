"""persons.db: who stands behind which pseudonym, and the keys that open what the log says of them.

Nothing in it can be read without `persons.key`, which lies beside it in a file of its own: names are kept as HMACs
(to find a person by name while there is one), and so are the words of remarks; keys are wrapped. A remark of an
operator is kept as a person of its own.
"""

from pathlib import Path

from gateway.audit.home_secret import KeysNotOpened
from gateway.audit.keyed_database import KeyedDatabase


class PersonsNotOpened(KeysNotOpened):
    """The persons' keys cannot be used; the message is one line with the remedy."""


PERSONS = KeyedDatabase(
    create=(
        """CREATE TABLE persons (
            pseudonym TEXT PRIMARY KEY, person_mac BLOB NOT NULL, name_mac BLOB NOT NULL) STRICT, WITHOUT ROWID""",
        "CREATE INDEX by_person ON persons (person_mac)",
        "CREATE INDEX by_name ON persons (name_mac)",
        """CREATE TABLE person_keys (
            key_id TEXT PRIMARY KEY, pseudonym TEXT NOT NULL, month TEXT NOT NULL, wrapped BLOB NOT NULL)
            STRICT, WITHOUT ROWID""",
        "CREATE INDEX by_month ON person_keys (pseudonym, month)",
        """CREATE TABLE remark_words (
            word_mac BLOB NOT NULL, pseudonym TEXT NOT NULL, PRIMARY KEY (word_mac, pseudonym))
            STRICT, WITHOUT ROWID""",
        "CREATE INDEX by_remark ON remark_words (pseudonym)",
        "CREATE TABLE erasures (count INTEGER NOT NULL) STRICT",
        "INSERT INTO erasures VALUES (0)",
    ),
    table="persons",
    fault=PersonsNotOpened,
    lost="nothing that the audit log holds of persons can be opened",
)


def make_persons(database_path: Path, key_path: Path) -> None:
    """Make what is missing of both files in a home that has none of them yet. Raises PersonsNotOpened."""
    PERSONS.make(database_path, key_path)


def load_persons_key(key_path: Path) -> bytes:
    """The home's secret for persons. Raises PersonsNotOpened."""
    return PERSONS.secret(key_path)
