"""Records on their way into the log, sealed, and out of it, opened as far as this home still can.

The log calls `sealed` for every record, whatever made it, so that no record with a name in the clear can be written,
and `flush` before the lines.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

from gateway.audit.persons import Persons
from gateway.audit.persons_file import PersonsNotOpened
from gateway.homes.home import Home
from policies.auditing.person_fields import SEALED, opened_entry, sealed_entry

Entry = dict[str, Any]
Opener = Callable[[Entry], Entry]


class Sealer(Protocol):
    """What the log needs: `sealed` on its loop, `flush` in its thread before the lines that `sealed` made."""

    def sealed(self, entry: Entry) -> Entry:
        """The record as it may be written. Raises AuditUnavailable."""
        ...

    def flush(self) -> None:
        """Make lasting what opens the records sealed so far. Raises OSError."""
        ...


class RecordSealer:
    """Seals by the keys of `persons`."""

    def __init__(self, persons: Persons) -> None:
        self._persons = persons

    def sealed(self, entry: Entry) -> Entry:
        """See `Sealer`."""
        return sealed_entry(entry, self._persons)

    def flush(self) -> None:
        """See `Sealer`."""
        self._persons.flush()


def open_persons(home: Home) -> Persons:
    """The persons of a home, made where it has none yet. Raises PersonsNotOpened."""
    return Persons.at(home.persons, home.persons_key)


@contextmanager
def record_opener(home: Home) -> Iterator[Opener]:
    """What opens the records of a home, for commands that read. Without its keys every token reads `(sealed)`.

    What it answers is for the eyes of whoever may read the home, and must never be written into it. Each call may
    raise AuditUnavailable.
    """
    try:
        persons = Persons.reading(home.persons, home.persons_key)
    except PersonsNotOpened:
        yield lambda record: opened_entry(record, lambda _token, _place: SEALED)
        return
    with closing(persons):
        yield lambda record: _opened(record, persons)


def _opened(record: Entry, persons: Persons) -> Entry:
    persons.refresh()
    return opened_entry(record, persons.open)
