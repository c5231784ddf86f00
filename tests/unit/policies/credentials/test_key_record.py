"""The state of a key at any second, and what a key can never be."""

from dataclasses import replace

import pytest

from policies.addresses.networks import read_address
from policies.credentials.api_key import hash_key, mint
from policies.credentials.key_record import DAY_S, KeyRecord, check_scopes, new_record

NOW_S = 1_800_000_000.0
KEY = mint(lambda count: bytes(range(count)))
RECORD = new_record(KEY, {1: b"a" * 32, 2: b"b" * 32}, NOW_S, team="blue", scopes=frozenset({"inference"}))


def test_a_new_record_ends_after_90_days_and_takes_the_newest_pepper():
    assert RECORD.expires_s == NOW_S + 90 * DAY_S
    assert RECORD.pepper_version == 2
    assert RECORD.digest == hash_key(b"b" * 32, KEY.text)
    assert RECORD.state(NOW_S) == "active"


def test_a_record_without_lifetime_never_ends():
    record = new_record(KEY, {1: b"a" * 32}, NOW_S, team="t", scopes=frozenset({"models"}), lifetime_s=None)
    assert record.ends_s is None
    assert record.state(NOW_S * 2) == "active"


@pytest.mark.parametrize(
    ("changes", "at_s", "state"),
    [
        ({}, NOW_S + 90 * DAY_S - 0.001, "active"),
        ({}, NOW_S + 90 * DAY_S, "expired"),
        ({"not_before_s": NOW_S + 10}, NOW_S + 9.999, "not_yet_valid"),
        ({"not_before_s": NOW_S + 10}, NOW_S + 10, "active"),
        ({"overlap_ends_s": NOW_S + 60}, NOW_S + 59, "active"),
        ({"overlap_ends_s": NOW_S + 60}, NOW_S + 60, "expired"),
        ({"overlap_ends_s": NOW_S + 900 * DAY_S}, NOW_S + 90 * DAY_S, "expired"),
        ({"expires_s": None, "overlap_ends_s": NOW_S + 60}, NOW_S + 60, "expired"),
        ({"revoked_s": NOW_S}, NOW_S, "revoked"),
        ({"revoked_s": NOW_S + 5}, NOW_S, "revoked"),  # a clock set back does not bring a key back
        ({"revoked_s": NOW_S, "not_before_s": NOW_S + 10}, NOW_S, "revoked"),
    ],
)
def test_the_first_rule_that_fits_wins(changes, at_s, state):
    assert replace(RECORD, **changes).state(at_s) == state


def test_a_key_without_networks_allows_all_and_one_with_them_only_these():
    assert RECORD.own_networks.allows(read_address("203.0.113.9"))
    own = replace(RECORD, networks=("10.0.0.0/8", "2001:db8::/32")).own_networks
    assert own.allows(read_address("10.1.2.3"))
    assert own.allows(read_address("2001:db8::1"))
    assert not own.allows(read_address("203.0.113.9"))


@pytest.mark.parametrize(
    ("scopes", "message"),
    [
        (set(), "at least one scope of: admin, inference, metrics, models"),
        ({"inference", "root"}, "no scope is called root"),
        ({"auditor"}, "no scope is called auditor"),
        ({"admin", "auditor"}, "can never hold admin and auditor together"),
        ({"admin", "auditor", "models"}, "can never hold admin and auditor together"),
    ],
)
def test_scopes_that_no_key_has(scopes, message):
    with pytest.raises(ValueError, match=message):
        check_scopes(scopes)
    with pytest.raises(ValueError, match=message):
        replace(RECORD, scopes=frozenset(scopes))


def test_a_record_with_a_foreign_id_or_network_cannot_exist():
    with pytest.raises(ValueError, match="is not the id of a key"):
        replace(RECORD, id="' OR '1'='1")
    with pytest.raises(ValueError, match="is not a CIDR"):
        replace(RECORD, networks=("10.0.0.1/8",))


def test_no_repr_shows_the_digest():
    assert "digest" not in repr(RECORD)
    assert isinstance(RECORD, KeyRecord)
