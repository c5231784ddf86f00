"""Which keys end soon and which warnings are due, at the very edges of each threshold."""

from dataclasses import replace

import pytest

from policies.credentials.api_key import mint
from policies.credentials.key_expiry import ExpiryWarning, KeyEnd, due_warnings, ends_within
from policies.credentials.key_record import DAY_S, KeyRecord, new_record
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord, public_key_id

NOW_S = 1_800_000_000.0


def key(byte: int, days: float | None, **changes: object) -> KeyRecord:
    """A key that is active at NOW_S and ends `days` later."""
    made = new_record(
        mint(lambda count: bytes([byte]) * count),
        {1: b"p" * 32},
        NOW_S - 100 * DAY_S,
        team="blue",
        scopes=frozenset({"inference"}),
        lifetime_s=None if days is None else (100 + days) * DAY_S,
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("left_s", "days"),
    [
        (14 * DAY_S + 1, None),
        (14 * DAY_S, 14),
        (7 * DAY_S + 1, 14),
        (7 * DAY_S, 7),
        (DAY_S + 1, 7),
        (DAY_S, 1),
        (1, 1),
        (0, None),
        (-1, None),
    ],
)
def test_a_key_is_warned_of_by_the_narrowest_threshold(left_s, days):
    ending = key(1, 0, expires_s=NOW_S + left_s)
    expected = () if days is None else (ExpiryWarning(ending.id, "blue", days),)
    assert due_warnings([ending], NOW_S, frozenset()) == expected


def test_what_was_warned_of_is_not_due_again_until_the_next_threshold():
    ending = key(1, 10)
    warned = set(due_warnings([ending], NOW_S, frozenset()))
    assert due_warnings([ending], NOW_S, warned) == ()
    assert due_warnings([ending], NOW_S + 3 * DAY_S - 1, warned) == ()
    assert due_warnings([ending], NOW_S + 3 * DAY_S, warned) == (ExpiryWarning(ending.id, "blue", 7),)


def test_a_warning_of_one_key_says_nothing_of_another():
    one, two = key(1, 10), key(2, 10)
    warned = set(due_warnings([one], NOW_S, frozenset()))
    assert due_warnings([one, two], NOW_S, warned) == (ExpiryWarning(two.id, "blue", 14),)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_s": None},
        {"revoked_s": NOW_S - 5},
        {"not_before_s": NOW_S + 5},
        {"overlap_ends_s": NOW_S},
    ],
)
def test_a_key_that_is_not_active_or_has_no_end_is_left_out(changes):
    left_out = key(1, 1, **changes)
    assert ends_within([left_out], NOW_S, 30 * DAY_S) == ()
    assert due_warnings([left_out], NOW_S, frozenset()) == ()


def test_ends_within_a_span_include_its_edge():
    near, edge, far, endless = key(1, 2), key(2, 30), key(3, 30.001), key(4, None)
    assert ends_within([near, edge, far, endless], NOW_S, 30 * DAY_S) == (
        KeyEnd(near.id, "blue", 2 * DAY_S),
        KeyEnd(edge.id, "blue", 30 * DAY_S),
    )


def test_a_replaced_key_ends_with_its_overlap():
    replaced = key(1, 60, successor_id="later", overlap_ends_s=NOW_S + 60)
    assert ends_within([replaced], NOW_S, DAY_S) == (KeyEnd(replaced.id, "blue", 60),)


def test_a_registered_public_key_is_warned_of_too():
    blob = BLOB_HEAD + bytes(32)
    public = PublicKeyRecord(
        id=public_key_id(blob),
        blob=blob,
        team="blue",
        scopes=frozenset({"models"}),
        created_s=NOW_S,
        expires_s=NOW_S + 5 * DAY_S,
    )
    assert due_warnings([public], NOW_S, set()) == (ExpiryWarning(public.id, "blue", 7),)
    assert due_warnings([replace(public, revoked_s=NOW_S)], NOW_S, set()) == ()
