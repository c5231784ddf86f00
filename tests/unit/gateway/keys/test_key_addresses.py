"""Invariant: each address of a key is told once a day, and only under its label."""

from ipaddress import ip_address

from gateway.keys.key_addresses import KeyAddresses
from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from tests.fakes import ManualClock


class Seen:
    """The notes of one gateway."""

    def __init__(self, most: int = 100) -> None:
        self.clock = ManualClock()
        self.notes: list[dict[str, object]] = []
        self.addresses = KeyAddresses(
            self.clock, lambda event, details: self.notes.append({"event": event, **details}), self._label, most
        )

    def see(self, address: str, key_id: str = "k1", owner: str = "anna") -> None:
        principal = Principal(
            kind="api_key", team="chem", scopes=frozenset(), networks=Networks(), key_id=key_id, owner=owner
        )
        self.addresses.seen(principal, ip_address(address))

    def _label(self, person: str, address: str) -> str:
        return f"{person.strip()} {address}"


def test_once_a_day() -> None:
    seen = Seen()
    for _ in range(3):
        seen.see("192.0.2.7")
    assert seen.notes == [{"event": "key.seen_from", "key_id": "k1", "team": "chem", "address": "anna 192.0.2.7"}]
    seen.see("192.0.2.8")
    seen.see("192.0.2.7", "k2")
    assert len(seen.notes) == 3
    seen.clock.move(86_400)
    seen.see("192.0.2.7")
    assert len(seen.notes) == 4


def test_an_address_belongs_to_the_owner_or_else_to_itself() -> None:
    seen = Seen()
    seen.see("192.0.2.7", owner="")
    assert seen.notes[0]["address"] == "192.0.2.7 192.0.2.7"


def test_who_has_no_key() -> None:
    seen = Seen()
    seen.see("192.0.2.7", "")
    assert seen.notes == []


def test_memory_is_bounded() -> None:
    seen = Seen(most=2)
    for last in (1, 2, 3, 1):
        seen.see(f"192.0.2.{last}")
    assert len(seen.notes) == 4
