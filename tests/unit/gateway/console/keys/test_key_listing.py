"""Which keys a search finds, and in which order they stand."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.console.keys import key_listing
from gateway.console.keys.key_listing import KeyQuery, find, read_query, row_of
from policies.credentials.api_key import mint
from policies.credentials.key_record import DAY_S, KeyRecord, new_record
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord
from tests.flow.gates import BOTH, PEPPERS, deterministic_bytes

NOW = 1_700_000_000.0
_random = deterministic_bytes()


def key(team: str = "lab", **changes: Any) -> KeyRecord:
    record = new_record(mint(_random), PEPPERS, NOW, team=team, scopes=BOTH)
    return dataclasses.replace(record, **changes)


def public_key() -> PublicKeyRecord:
    blob = BLOB_HEAD + bytes(range(32))
    return PublicKeyRecord(id="ssh-1", blob=blob, team="lab", scopes=BOTH, created_s=NOW, expires_s=None)


def test_a_row_says_what_the_record_says():
    row = row_of(key(owner="ann", last_used_s=NOW - 60, last_ip="192.0.2.7", networks=("192.0.2.0/24",)), NOW)
    assert (row.kind, row.state, row.owner, row.last_ip) == ("api_key", "active", "ann", "192.0.2.7")
    assert row.scopes == ("inference", "models")
    assert row.networks == ("192.0.2.0/24",)
    assert not row.findings
    assert "digest" not in row.__struct_fields__


def test_a_registered_public_key_notes_no_use():
    row = row_of(public_key(), NOW)
    assert (row.kind, row.last_used_s, row.last_ip, row.review_s) == ("ssh_key", None, "", None)
    assert row.fingerprint.startswith("SHA256:")


def test_a_key_in_its_overlap_is_being_replaced():
    old = key(successor_id="x" * 12, overlap_ends_s=NOW + 60)
    assert row_of(old, NOW).overlapping
    assert not row_of(old, NOW + 61).overlapping
    assert not row_of(key(), NOW).overlapping


def test_only_an_active_key_asks_for_a_look():
    endless = {"expires_s": None}
    assert row_of(key(**endless), NOW).findings == ("no_expiry",)
    assert row_of(key(revoked_s=NOW, **endless), NOW).findings == ()


ROWS = [
    row_of(key(owner="Ann", purpose="night batch"), NOW),
    row_of(key("ops", owner="bob", last_ip="192.0.2.7"), NOW),
    row_of(key(revoked_s=NOW), NOW),
    row_of(key(expires_s=None), NOW),
]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (KeyQuery(), [3, 0, 1, 2]),
        (KeyQuery("ann BATCH"), [0]),
        (KeyQuery("192.0.2"), [1]),
        (KeyQuery("ann bob"), []),
        (KeyQuery(team="ops"), [1]),
        (KeyQuery(state="revoked"), [2]),
        (KeyQuery(state="attention"), [3]),
        (KeyQuery(ROWS[0].id), [0]),
    ],
)
def test_what_a_search_finds(asked: KeyQuery, found: list[int]):
    ids = [row.id for row in find(ROWS, asked).rows]
    expected = [ROWS[each].id for each in found]
    assert (
        (ids == expected)
        if asked != KeyQuery()
        else (ids[0], ids[-1], set(ids))
        == (
            expected[0],
            expected[-1],
            set(expected),
        )
    )


def test_the_newest_first():
    rows = [row_of(key(created_s=NOW - age * DAY_S), NOW) for age in (3, 1, 2)]
    assert [row.created_s for row in find(rows, KeyQuery()).rows] == [NOW - age * DAY_S for age in (1, 2, 3)]


@given(count=st.integers(0, 7), page=st.integers(-1, 9))
@settings(max_examples=40, deadline=None)
def test_every_row_is_on_one_page(count: int, page: int):
    rows = [row_of(key(), NOW) for _ in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_listing, "PAGE_ROWS", 3)
        first = find(rows, KeyQuery(page=page))
        assert 1 <= first.page <= first.pages
        shown = [row.id for number in range(1, first.pages + 1) for row in find(rows, KeyQuery(page=number)).rows]
    assert sorted(shown) == sorted(row.id for row in rows)
    assert first.found == count


def test_a_form_that_asks_nonsense_asks_nothing():
    asked = read_query({"q": "x" * 900, "team": "lab", "state": "dead", "page": "-3"})
    assert (len(asked.text), asked.team, asked.state, asked.page) == (256, "lab", "", 1)
    assert read_query({"page": "٣"}).page == 1
    assert read_query({"page": "7", "state": "attention"}) == KeyQuery("", "", "attention", 7)
