"""What can be opened of a home's log, and erased from it: the persons, and the texts that policies keep."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from gateway.audit.content_file import ContentNotOpened
from gateway.audit.content_store import ContentStore
from gateway.audit.persons import Persons
from gateway.audit.sealed_record import open_persons
from gateway.homes.home import Home


@dataclass(frozen=True, slots=True)
class Vault:
    """Both stores of one home, open."""

    persons: Persons
    content: ContentStore


@contextmanager
def opened_vault(home: Home) -> Iterator[Vault]:
    """The vault of `home`, made where it has none yet. Raises KeysNotOpened."""
    with closing(open_persons(home)) as persons, closing(open_content(home)) as content:
        yield Vault(persons, content)


def open_content(home: Home) -> ContentStore:
    """The kept texts of `home`. Raises ContentNotOpened."""
    try:
        return ContentStore(home.content, home.content_keys, home.content_key)
    except (OSError, sqlite3.Error) as fault:
        raise ContentNotOpened(f"{home.content_keys} cannot be read ({fault}): restore it from your backup") from fault
