"""What the index and its readers may see of records: their personal parts opened as far as this home still can."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from gateway.audit.persons import Persons
from gateway.audit.persons_file import PersonsNotOpened
from gateway.homes.home import Home
from policies.auditing.person_fields import SEALED, opened_entry, place_of
from policies.auditing.record_facts import Facts, facts_of

Record = dict[str, Any]


class OpenedRecords:
    """Opens by the keys of `persons`; without them nothing opens, and people are found by pseudonym alone."""

    def __init__(self, persons: Persons | None = None) -> None:
        self._persons = persons

    def refresh(self) -> int:
        """Hear of erasures by any process, and answer how many there have been. Raises AuditUnavailable."""
        if self._persons is None:
            return 0
        self._persons.refresh()
        return self._persons.erasures

    def facts(self, record: Record) -> Facts:
        """What a record is found by. Raises AuditUnavailable."""
        if self._persons is None:
            return facts_of(record)
        if "req_id" in record:  # nearly all records; the address is all of them that is needed
            return facts_of(record, self._address(record, self._persons))
        return facts_of(self.opened(record))

    def opened(self, record: Record) -> Record:
        """The whole record for the eyes of a reader; never to be written. Raises AuditUnavailable."""
        if self._persons is None:
            return self.sealed(record)
        return opened_entry(record, self._persons.open)

    def shown(self, record: Record, *, names: bool) -> Record:
        """`opened`, or `sealed` where names are not shown. Raises AuditUnavailable."""
        return self.opened(record) if names else self.sealed(record)

    def sealed(self, record: Record) -> Record:
        """The whole record with nothing opened: pseudonyms, and no name."""
        return opened_entry(record, lambda _token, _place: SEALED)

    def pseudonyms(self, name: str) -> tuple[str, ...]:
        """Under what somebody of this name stands in the log. Raises AuditUnavailable."""
        return self._persons.pseudonyms(name) if self._persons is not None else ()

    def knows(self, pseudonym: str) -> bool:
        """Whether what is kept of a person can still be opened. Raises AuditUnavailable."""
        return self._persons is not None and self._persons.knows(pseudonym)

    def _address(self, record: Record, persons: Persons) -> str:
        source = record.get("src")
        token = source.get("ip") if isinstance(source, dict) else None
        if not isinstance(token, str) or not token.startswith("enc:1:"):
            return ""
        return persons.open(token, place_of(record, ("src", "ip"))) or ""


@contextmanager
def opened_records(home: Home | None) -> Iterator[OpenedRecords]:
    """What opens the records of a home; of none, or of one without its persons' keys, nothing is opened."""
    if home is None or not home.persons.exists():
        yield OpenedRecords()
        return
    with closing(Persons.reading(home.persons, home.persons_key)) as persons:
        yield OpenedRecords(persons)


__all__ = ["OpenedRecords", "PersonsNotOpened", "opened_records"]
