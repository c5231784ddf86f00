"""How keys are shown, and which are named for review, at the very edges of each rule."""

from dataclasses import replace

import pytest

from gateway.keys.key_views import SOON_S, UNUSED_S, key_view, public_key_view, review_findings, show_time
from policies.credentials.api_key import mint
from policies.credentials.key_record import DAY_S, new_record
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord, fingerprint, public_key_id

NOW_S = 1_800_000_000.0
KEY = replace(
    new_record(mint(bytes), {1: b"p" * 32}, NOW_S, team="blue", scopes=frozenset({"models", "inference"})),
    expires_s=NOW_S + 1000 * DAY_S,
    review_s=NOW_S + 500 * DAY_S,
)


def test_times_are_utc_to_the_second():
    assert show_time(NOW_S + 0.9) == "2027-01-15T08:00:00Z"
    assert show_time(None) is None


def test_a_view_shows_what_matters_and_no_digest():
    names = {"created_by": "anna", "revoked_by": "berta", "last_ip": "::1"}
    view = key_view(replace(KEY, overlap_ends_s=NOW_S + 60, **names), NOW_S)
    assert view.items() >= names.items()
    assert view["scopes"] == ["inference", "models"]
    assert view["expires"] == "2027-01-15T08:01:00Z"
    assert view["state"] == "active"
    assert KEY.digest.hex() not in str(view)
    assert "digest" not in view


def test_a_public_key_is_shown_in_the_same_words_with_its_fingerprint():
    blob = BLOB_HEAD + bytes(32)
    record = PublicKeyRecord(
        id=public_key_id(blob),
        blob=blob,
        team="blue",
        scopes=frozenset({"models"}),
        networks=("10.0.0.0/8",),
        created_s=NOW_S,
        expires_s=NOW_S + 60,
    )
    view = public_key_view(record, NOW_S)
    assert (view["kind"], view["state"], view["networks"]) == ("ssh_key", "active", ["10.0.0.0/8"])
    assert view["fingerprint"] == fingerprint(blob)
    assert view["expires"] == "2027-01-15T08:01:00Z"
    assert view.keys() - key_view(KEY, NOW_S).keys() == {"fingerprint"}


@pytest.mark.parametrize(
    ("changes", "at_s", "findings"),
    [
        ({}, NOW_S, []),
        ({"review_s": NOW_S + SOON_S + 1}, NOW_S, []),
        ({"review_s": NOW_S + SOON_S}, NOW_S, ["review_soon"]),
        ({"review_s": NOW_S}, NOW_S, ["review_due"]),
        ({"expires_s": NOW_S + SOON_S + 1}, NOW_S, []),
        ({"expires_s": NOW_S + SOON_S}, NOW_S, ["expires_soon"]),
        ({"overlap_ends_s": NOW_S + DAY_S}, NOW_S, ["expires_soon"]),
        ({"expires_s": None}, NOW_S, ["no_expiry"]),
        ({}, NOW_S + UNUSED_S - 1, []),
        ({}, NOW_S + UNUSED_S, ["unused"]),
        ({"last_used_s": NOW_S + 1}, NOW_S + UNUSED_S, []),
    ],
)
def test_findings(changes, at_s, findings):
    assert review_findings(replace(KEY, **changes), at_s) == findings
