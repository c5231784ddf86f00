"""What a gateway notices about keys: each thing once in its time, and nothing of keys that are as they should be."""

from dataclasses import replace

import pytest

from gateway.keys.key_store import KeyStore
from gateway.keys.key_watch import KeyWatch
from policies.addresses.networks import Networks, read_address
from policies.credentials.api_key import mint
from policies.credentials.key_expiry import KeyEnd
from policies.credentials.key_record import DAY_S, KeyRecord, new_record
from policies.credentials.principal import Principal
from policies.credentials.public_key import BLOB_HEAD, KEY_BYTES, PublicKeyRecord, public_key_id
from tests.fakes import ManualClock

HERE = read_address("203.0.113.9")


class Watched:
    """A watch over a store of its own, and what it noted."""

    def __init__(self, keys: KeyStore) -> None:
        self.keys = keys
        self.clock = ManualClock()
        self.notes: list[tuple[str, dict]] = []
        self.watch = KeyWatch(keys, self.clock, lambda event, details: self.notes.append((event, details)))

    @property
    def now_s(self) -> float:
        return self.clock.unix_ns() / 1e9

    def add(self, byte: int, **changes: object) -> KeyRecord:
        key = mint(lambda count: bytes([byte]) * count)
        made = new_record(key, {1: b"p" * 32}, self.now_s, team="blue", scopes=frozenset({"inference"}))
        record = replace(made, **changes)
        self.keys.save(record)
        return record

    def use(self, record: KeyRecord) -> None:
        principal = Principal(
            kind="api_key",
            team=record.team,
            key_id=record.id,
            owner="",
            scopes=record.scopes,
            networks=Networks(),
            successor_id=record.successor_id,
        )
        self.watch.used(principal, HERE)

    def rotated(self, byte: int) -> tuple[KeyRecord, KeyRecord]:
        fresh = self.add(byte + 1)
        return self.add(byte, successor_id=fresh.id), fresh

    def look(self, later_s: float = 0) -> list[dict]:
        """The warnings of a look `later_s` from now."""
        self.clock.move(later_s)
        self.notes.clear()
        self.watch.look_at_ends()
        assert {event for event, _ in self.notes} <= {"key.expiring"}
        return [details for _, details in self.notes]


@pytest.fixture
def watched(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    yield Watched(store)
    store.close()


def test_a_use_is_told_to_the_store(watched):
    record = watched.add(1)
    watched.use(record)
    kept = watched.keys.get(record.id)
    assert (kept.last_used_s, kept.last_ip) == (watched.now_s - watched.now_s % 60, "203.0.113.9")
    assert watched.notes == []


def test_a_replaced_key_is_flagged_once_its_successor_is_in_use(watched):
    old, fresh = watched.rotated(1)
    watched.use(old)
    assert watched.notes == []
    watched.use(fresh)
    assert watched.notes == []
    watched.use(old)
    told = {"key_id": old.id, "team": old.team, "successor": fresh.id}
    assert watched.notes == [("key.predecessor_used", told)]


def test_a_replaced_key_is_flagged_once_an_hour(watched):
    old, fresh = watched.rotated(1)
    watched.use(fresh)
    for later_s, flags in ((0, 1), (3599, 1), (1, 2), (3599, 2)):
        watched.clock.move(later_s)
        watched.use(old)
        assert len(watched.notes) == flags


def test_each_replaced_key_is_flagged_and_old_flags_are_forgotten(watched):
    for byte in (1, 3, 5):
        old, fresh = watched.rotated(byte)
        watched.use(fresh)
        watched.use(old)
        watched.clock.move(1800)
    assert len(watched.notes) == 3
    assert len(watched.watch._flagged_s) == 2


def test_a_successor_that_the_store_does_not_know_is_no_fault(watched):
    watched.use(watched.add(1, successor_id="gone"))
    assert watched.notes == []


def test_a_key_that_ends_is_warned_of_once_a_threshold(watched):
    record = watched.add(1, expires_s=watched.now_s + 20 * DAY_S)
    assert watched.look() == []
    assert watched.look(6 * DAY_S) == [{"key_id": record.id, "team": "blue", "days": 14}]
    assert watched.look(60) == []
    assert [each["days"] for each in watched.look(7 * DAY_S)] == [7]
    assert [each["days"] for each in watched.look(6 * DAY_S)] == [1]
    assert watched.look(60) == []
    assert watched.look(DAY_S) == []


def test_ends_are_looked_at_once_a_minute(watched):
    assert watched.look() == []
    watched.add(1, expires_s=watched.now_s + DAY_S)
    assert watched.look(59) == []
    assert len(watched.look(1)) == 1


def test_ends_within_30_days_are_for_the_metrics(watched):
    near = watched.add(1, expires_s=watched.now_s + 30 * DAY_S)
    watched.add(2, expires_s=watched.now_s + 31 * DAY_S)
    assert watched.watch.ends() == (KeyEnd(near.id, "blue", 30 * DAY_S),)


def test_active_keys_are_counted_by_team_registered_ones_too(watched):
    watched.add(1)
    watched.add(2, team="red", revoked_s=watched.now_s)
    watched.add(3, team="red", expires_s=watched.now_s)
    blob = BLOB_HEAD + bytes(KEY_BYTES)
    public = PublicKeyRecord(
        id=public_key_id(blob), blob=blob, team="red", scopes=frozenset({"models"}), created_s=1.0, expires_s=None
    )
    watched.keys.public_keys.save(public)
    assert watched.watch.active_by_team() == {"blue": 1, "red": 1}
