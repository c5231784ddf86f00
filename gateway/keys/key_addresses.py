"""Tells the log from which addresses each key is used: once a day for each pair, the address under a label.

The records of requests have addresses enciphered, each time anew, so that nothing in the log says that two of them are
one. With these a report says which address is new to a key (policies/auditing/report_keys.py), and names nobody; who
may open the log finds the address itself in the requests of that moment. A label belongs to the key's owner and means
nothing any more once they are erased (`gateway.audit.persons.Persons.label`).
"""

from collections.abc import Callable

from gateway.clock import Clock
from policies.addresses.networks import Address
from policies.audit_record import clean
from policies.auditing.person_fields import person_of
from policies.credentials.principal import Principal

MAX_TOLD = 65_536
"""Pairs remembered; beyond it a day's pairs are told anew, which costs lines and loses nothing. About 10 MB."""
DAY_NS = 86_400 * 10**9

Note = Callable[[str, dict[str, str | int | float | bool]], None]


class KeyAddresses:
    """`note` must not block; `label` answers for a person and an address, and may raise AuditUnavailable."""

    def __init__(self, clock: Clock, note: Note, label: Callable[[str, str], str], most: int = MAX_TOLD) -> None:
        self._clock = clock
        self._note = note
        self._label = label
        self._most = most
        self._day = -1
        self._told: set[tuple[str, str]] = set()

    def seen(self, principal: Principal, client: Address) -> None:
        """A request of `principal` from `client` was let in. Raises AuditUnavailable."""
        pair = (principal.key_id, str(client))
        day = self._clock.unix_ns() // DAY_NS
        if day != self._day or len(self._told) >= self._most:
            self._day = day
            self._told.clear()
        if not principal.key_id or pair in self._told:
            return
        name, issuer = clean(principal.actor), clean(principal.issuer)  # as the log's records spell them
        person = person_of(name, issuer) if name else person_of(pair[1])
        address = self._label(person, pair[1])
        self._told.add(pair)
        self._note("key.seen_from", {"key_id": pair[0], "team": principal.team, "address": address})
