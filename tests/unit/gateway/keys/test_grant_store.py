"""Grants: kept, heard of by others, and closed by exactly one gateway when their time is up."""

from dataclasses import replace

import pytest

from gateway.keys.grant_store import grant_details
from gateway.keys.key_store import KeyStore
from policies.errors import PolicyUnavailable
from policies.limiting.limit_grant import LimitGrant

GRANT = LimitGrant(id="g1", team="blue", limit="burst_requests", value=99, until_s=100.0, made_s=5.0, by="anna")


@pytest.fixture
def stores(tmp_path):
    one = KeyStore.create(tmp_path / "keys.db")
    two = KeyStore.open(tmp_path / "keys.db")
    yield one, two
    two.close()
    one.close()


def test_a_grant_is_kept_and_heard_of(stores, tmp_path):
    one, two = stores
    one.grants.save(GRANT)
    two.refresh()
    assert one.grants.of_team("blue") == two.grants.of_team("blue") == (GRANT,)
    assert two.grants.of_team("red") == ()
    assert two.grants.get("g1") == GRANT
    assert two.grants.get("g2") is None


def test_a_grant_that_somebody_ended_is_the_teams_no_more(stores):
    one, two = stores
    one.grants.save(GRANT)
    one.grants.save(replace(GRANT, ended_s=50.0))
    two.refresh()
    assert two.grants.of_team("blue") == ()
    assert two.grants.all() == (replace(GRANT, ended_s=50.0),)


def test_one_gateway_closes_it_once(stores):
    one, two = stores
    one.grants.save(GRANT)
    two.refresh()
    assert one.grants.end_those_due(99.9) == ()
    assert one.grants.end_those_due(100.0) == (GRANT,)
    assert one.grants.end_those_due(101.0) == ()
    assert two.grants.end_those_due(101.0) == ()
    assert two.grants.of_team("blue") == one.grants.of_team("blue") == ()
    assert one.grants.all()[0].ended_s == 100.0


def test_the_disk_counts_first(stores):
    one, _ = stores
    one._database.execute("PRAGMA query_only = ON")
    with pytest.raises(PolicyUnavailable):
        one.grants.save(GRANT)
    assert one.grants.all() == ()
    one._database.execute("PRAGMA query_only = OFF")


def test_the_log_hears_what_was_granted():
    assert grant_details(GRANT) == {"team": "blue", "limit": "burst_requests", "value": 99, "until_s": 100.0}
