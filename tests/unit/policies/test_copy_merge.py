"""Two copies of a record become one, the same one from whichever side, and the stricter word holds."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from policies.copy_merge import merge_grants, merge_keys, merge_public_keys, merge_revocations
from policies.credentials.api_key import mint
from policies.credentials.key_record import KeyRecord, new_record
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord
from policies.credentials.revocation import Revocation
from policies.limiting.limit_grant import LimitGrant

KEY = new_record(mint(bytes), {1: b"p" * 32}, 1000.0, team="blue", scopes=frozenset({"models"}))
PUBLIC = PublicKeyRecord(
    id="ssh-1",
    blob=BLOB_HEAD + bytes(32),
    team="blue",
    scopes=frozenset({"models"}),
    created_s=1.0,
    expires_s=None,
)
GRANT = LimitGrant(id="g1", team="blue", limit="burst_requests", value=5, until_s=9.0, made_s=1.0)

times = st.none() | st.sampled_from([1.0, 2.0, 3.0])
keys = st.builds(
    lambda revoked_s, by, successor_id, overlap_ends_s, review_s: replace(
        KEY,
        revoked_s=revoked_s,
        revoked_by="" if revoked_s is None else by,
        successor_id=successor_id,
        overlap_ends_s=overlap_ends_s if successor_id else None,
        review_s=review_s,
    ),
    times,
    st.sampled_from(["anna", "berta"]),
    st.sampled_from(["", "s1", "s2"]),
    times,
    st.sampled_from([5.0, 6.0]),
)
public_keys = st.builds(
    lambda revoked_s, team, created_s: replace(PUBLIC, revoked_s=revoked_s, team=team, created_s=created_s),
    times,
    st.sampled_from(["blue", "red"]),
    st.sampled_from([1.0, 2.0]),
)
grants = st.builds(
    lambda ended_s, team: replace(GRANT, ended_s=ended_s, team=team), times, st.sampled_from(["blue", "red"])
)
revocations = st.builds(
    lambda at_s, by: Revocation(kind="team", subject="blue", at_s=at_s, by=by),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from(["anna", "berta"]),
)


def is_a_join(merge, one, two, three) -> bool:
    """Commutative, associative, idempotent: copies agree however they heard."""
    return (
        merge(one, two) == merge(two, one)
        and merge(merge(one, two), three) == merge(one, merge(two, three))
        and merge(one, one) == one
    )


@given(keys, keys, keys)
def test_api_keys(one: KeyRecord, two: KeyRecord, three: KeyRecord):
    assert is_a_join(merge_keys, one, two, three)
    merged = merge_keys(one, two)
    revoked = [each.revoked_s for each in (one, two) if each.revoked_s is not None]
    assert merged.revoked_s == min(revoked, default=None)
    assert bool(merged.successor_id) == bool(one.successor_id or two.successor_id)
    assert merged.review_s == max(one.review_s, two.review_s)


@given(public_keys, public_keys, public_keys)
def test_public_keys(one, two, three):
    assert is_a_join(merge_public_keys, one, two, three)
    merged = merge_public_keys(one, two)
    assert (merged.revoked_s is None) == (one.revoked_s is None and two.revoked_s is None)
    assert merged.created_s == min(one.created_s, two.created_s)


@given(grants, grants, grants)
def test_grants(one, two, three):
    assert is_a_join(merge_grants, one, two, three)
    assert (merge_grants(one, two).ended_s is None) == (one.ended_s is None and two.ended_s is None)


@given(revocations, revocations, revocations)
def test_revocations(one, two, three):
    assert is_a_join(merge_revocations, one, two, three)
    assert merge_revocations(one, two).at_s == max(one.at_s, two.at_s)


def test_each_gateway_keeps_its_own_knowledge_of_the_last_use():
    used = replace(KEY, last_used_s=5.0, last_ip="192.0.2.1")
    merged = merge_keys(used, replace(KEY, revoked_s=9.0))
    assert (merged.last_used_s, merged.last_ip, merged.revoked_s) == (5.0, "192.0.2.1", 9.0)


def test_who_was_erased_from_one_copy_does_not_come_back() -> None:
    named = Revocation(kind="actor", subject="x", at_s=1.0, by="anna", reason="anna said so")
    erased = replace(named, by="", reason="")
    assert merge_revocations(named, erased) == merge_revocations(erased, named) == erased
    made = replace(KEY, owner="anna", created_by="anna", revoked_s=2.0, revoked_by="anna")
    for blank in ({"owner": "", "created_by": "", "revoked_by": ""}, {"owner": "anna", "created_by": ""}):
        gone = replace(made, **blank)
        assert merge_keys(made, gone) == merge_keys(gone, made) == gone
    grant = replace(GRANT, by="anna")
    assert merge_grants(grant, GRANT) == merge_grants(GRANT, grant) == GRANT
