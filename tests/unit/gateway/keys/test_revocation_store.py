"""Revocations and lockdowns: two processes on one file agree, and a full disk keeps nobody in."""

import pytest

from gateway.keys.key_store import KeyStore
from policies.credentials.revocation import ALL_TEAMS, Lockdown, Revocation, Revocations
from policies.errors import PolicyUnavailable

ANNA = Revocation(kind="actor", subject="anna", at_s=5.0, by="berta", reason="left")
BLUE = Lockdown(team="blue", since_s=5.0, by="berta", reason="fire")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.db"


@pytest.fixture
def store(path):
    store = KeyStore.create(path)
    yield store
    store.close()


@pytest.fixture
def other(store, path):
    other = KeyStore.open(path)
    yield other
    other.close()


def expected(*, locked: bool = True) -> Revocations:
    current = Revocations().with_revocations([ANNA])
    return current.with_lockdowns([BLUE]) if locked else current


def full(store: KeyStore, *, is_full: bool) -> None:
    store._database.execute(f"PRAGMA query_only = {'ON' if is_full else 'OFF'}")


def test_what_is_revoked_and_locked_survives_a_restart(store, path):
    store.revocations.revoke(ANNA)
    store.revocations.lock(BLUE)
    store.close()
    again = KeyStore.open(path)
    assert again.revocations.current == expected()
    again.close()


def test_another_process_hears_of_it_at_its_next_refresh(store, other):
    heard: list[int] = []
    other.revocations.subscribe(lambda: heard.append(len(other.revocations.current.entries)))
    store.revocations.revoke(ANNA)
    store.revocations.lock(BLUE)
    assert other.revocations.current == Revocations()
    other.refresh()
    other.refresh()
    assert other.revocations.current == expected()
    assert heard == [1]
    store.revocations.lift("blue")
    other.refresh()
    assert other.revocations.current == expected(locked=False)


def test_what_the_disk_refuses_holds_in_memory_and_is_written_when_it_can_be(store, other):
    heard: list[bool] = []
    store.revocations.subscribe(lambda: heard.append(True))
    full(store, is_full=True)
    for change in (lambda: store.revocations.revoke(ANNA), lambda: store.revocations.lock(BLUE)):
        with pytest.raises(PolicyUnavailable):
            change()
    assert store.revocations.current == expected()
    assert len(heard) == 2
    other.revocations.revoke(Revocation(kind="jti", subject="t1", at_s=1.0))
    store.refresh()
    assert store.revocations.current.lockdowns == expected().lockdowns
    assert len(store.revocations.current.entries) == 2
    with pytest.raises(PolicyUnavailable):
        store.flush()
    full(store, is_full=False)
    store.flush()
    other.refresh()
    assert other.revocations.current == store.revocations.current


def test_a_lockdown_is_lifted_on_disk_first(store):
    store.revocations.lock(BLUE)
    full(store, is_full=True)
    with pytest.raises(PolicyUnavailable):
        store.revocations.lift("blue")
    assert "blue" in store.revocations.current.lockdowns
    full(store, is_full=False)
    store.revocations.lift("blue")
    assert store.revocations.current == Revocations()


def test_a_lockdown_that_is_only_in_memory_can_be_lifted_too(store):
    full(store, is_full=True)
    for entry in (BLUE, Lockdown(team=ALL_TEAMS, since_s=6.0)):
        with pytest.raises(PolicyUnavailable):
            store.revocations.lock(entry)
    full(store, is_full=False)
    store.revocations.lift("blue")
    store.flush()
    store._version = -1
    store.refresh()
    assert list(store.revocations.current.lockdowns) == [ALL_TEAMS]


def test_doing_it_twice_tells_nobody_twice(store):
    heard: list[bool] = []
    store.revocations.subscribe(lambda: heard.append(True))
    for _ in range(2):
        store.revocations.revoke(ANNA)
        store.revocations.lock(BLUE)
    assert len(heard) == 2
