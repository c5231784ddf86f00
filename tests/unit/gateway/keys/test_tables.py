"""Rows and records agree, the columns are the fields, and values never become part of a statement."""

import re
import sqlite3
from dataclasses import replace

import pytest

from gateway.keys.tables import GRANTS, LOCKDOWNS, PUBLIC_KEYS, REVOCATIONS, TABLES, UNLOCK
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord
from policies.credentials.revocation import Lockdown, Revocation
from policies.limiting.limit_grant import LimitGrant

REVOCATION = Revocation(kind="actor", subject="an'na", at_s=5.5, by="berta", reason="gone")
LOCKDOWN = Lockdown(team="*", since_s=5.5, by="berta", reason="fire")
GRANT = LimitGrant(
    id="g1", team="blue", limit="burst_requests", value=900_000, until_s=9.0, made_s=5.0, by="berta", reason="launch"
)
PUBLIC_KEY = PublicKeyRecord(
    id="ssh-1",
    blob=BLOB_HEAD + bytes(32),
    team="blue",
    owner="anna",
    scopes=frozenset({"models", "inference"}),
    networks=("10.0.0.0/8", "::1/128"),
    created_s=5.0,
    expires_s=None,
)
EACH = [(REVOCATIONS, REVOCATION), (LOCKDOWNS, LOCKDOWN), (GRANTS, GRANT), (PUBLIC_KEYS, PUBLIC_KEY)]


@pytest.fixture
def database():
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    for table in TABLES:
        database.execute(table.create)
    yield database
    database.close()


@pytest.mark.parametrize(("table", "record"), EACH)
def test_a_record_comes_back_as_it_went(database, table, record):
    database.execute(table.upsert, table.row(record))
    assert table.read(database) == (record,)


@pytest.mark.parametrize("table", TABLES)
def test_values_are_bound(table):
    assert not re.search(r"['{}%]", table.upsert + table.select + UNLOCK)


@pytest.mark.parametrize(
    ("table", "record", "ended"),
    [(GRANTS, GRANT, {"ended_s": 6.0}), (PUBLIC_KEYS, PUBLIC_KEY, {"revoked_s": 6.0, "revoked_by": "anna"})],
)
def test_what_has_ended_does_not_come_back(database, table, record, ended):
    for each in (record, replace(record, **ended), record):
        database.execute(table.upsert, table.row(each))
    assert table.read(database) == (replace(record, **ended),)
    (name,) = [each for each in ended if each.endswith("_s")]
    database.execute(table.upsert, table.row(replace(record, **ended | {name: 5.5})))
    assert getattr(table.read(database)[0], name) == 5.5


def test_the_later_revocation_and_the_first_lockdown_stay(database):
    for at_s in (5.0, 7.0, 6.0):
        entry = Revocation(kind="team", subject="blue", at_s=at_s)
        database.execute(REVOCATIONS.upsert, REVOCATIONS.row(entry))
        database.execute(LOCKDOWNS.upsert, LOCKDOWNS.row(Lockdown(team="blue", since_s=at_s)))
    assert [entry.at_s for entry in REVOCATIONS.read(database)] == [7.0]
    assert [entry.since_s for entry in LOCKDOWNS.read(database)] == [5.0]
    database.execute(UNLOCK, {"team": "red"})
    assert len(LOCKDOWNS.read(database)) == 1
    database.execute(UNLOCK, {"team": "blue"})
    assert LOCKDOWNS.read(database) == ()


def test_a_row_that_holds_no_possible_record_is_a_fault(database):
    database.execute(GRANTS.upsert, GRANTS.row(GRANT) | {"limit": "mode"})
    with pytest.raises(ValueError, match="no limit"):
        GRANTS.read(database)
    with pytest.raises(sqlite3.IntegrityError):
        database.execute(PUBLIC_KEYS.upsert, PUBLIC_KEYS.row(PUBLIC_KEY) | {"blob": b"short"})
