"""The copy in memory: revocations count while it is fresh, and nothing counts when it is not."""

import pytest

from gateway.keys.key_store import KeyStore
from gateway.keys.trusted_copy import TrustedCopy
from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from policies.credentials.revocation import Lockdown, Revocation
from policies.errors import LockedDown, NotAuthenticated, PolicyUnavailable
from tests.fakes import ManualClock

ANNA = Principal(kind="jwt", team="blue", scopes=frozenset(), networks=Networks(), subject="anna", issued_s=1.0)


@pytest.fixture
def keys(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    yield store
    store.close()


def test_a_copy_that_cannot_be_refreshed_is_trusted_so_long_and_then_not(keys, tmp_path):
    clock = ManualClock()
    copy = TrustedCopy(keys, clock, 60.0)
    copy.check(ANNA)
    clock.move(59)
    copy.refresh()
    (tmp_path / "keys.db").rename(tmp_path / "away")
    clock.move(60)
    with pytest.raises(PolicyUnavailable, match="key_store_away"):
        copy.refresh()
    copy.check(ANNA)
    assert copy.stale() == ()
    clock.move(0.1)
    assert copy.stale() == ("home",)
    with pytest.raises(PolicyUnavailable, match="keys_stale"):
        copy.check(ANNA)
    (tmp_path / "away").rename(tmp_path / "keys.db")
    copy.refresh()
    copy.check(ANNA)


def test_what_is_revoked_or_locked_is_refused(keys):
    copy = TrustedCopy(keys, ManualClock(), 60.0)
    keys.revocations.revoke(Revocation(kind="actor", subject="anna", at_s=2.0))
    with pytest.raises(NotAuthenticated, match="revoked_actor"):
        copy.check(ANNA)
    keys.revocations.lock(Lockdown(team="blue", since_s=2.0))
    with pytest.raises(LockedDown):
        copy.check(ANNA)


def test_what_other_hosts_say_must_be_heard_too_where_there_are_any(keys):
    clock = ManualClock()
    copy = TrustedCopy(keys, clock, 60.0, shared=True)
    with pytest.raises(PolicyUnavailable, match="keys_stale"):
        copy.check(ANNA)
    assert copy.stale() == ("store",)
    copy.heard_others()
    assert copy.stale() == ()
    copy.check(ANNA)
    clock.move(61)
    copy.refresh()
    with pytest.raises(PolicyUnavailable, match="keys_stale"):
        copy.check(ANNA)
    copy.heard_others()
    copy.check(ANNA)
