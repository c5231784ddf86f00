"""What two copies of one record make together, when gateways on several hosts changed them apart from each other.

Every merge takes the stricter word, and gives the same whichever copy is asked first, how often, and in what
order (a join in the sense of state-based CRDTs, Shapiro et al. 2011): copies that have heard the same agree.

Rules:
- revoked beats not revoked, the earlier revocation beats the later; the same for the end of a grant.
- a key that is being replaced beats one that is not, the earlier end of the overlap beats the later.
- the later date of review, and the later moment of a revocation of a team, person or token.
- all else never changes; where it differs (one public key, registered on two hosts in one second), the record
  made first holds.
- who made or ended it, and why: where copies differ in that alone, the one that says nothing, for it has been erased.
A key's last use is no part of it: each gateway knows its own.
"""

from dataclasses import replace
from typing import TypeVar

from policies.credentials.key_record import KeyRecord
from policies.credentials.public_key import PublicKeyRecord
from policies.credentials.revocation import Revocation
from policies.limiting.limit_grant import LimitGrant

Key = TypeVar("Key", KeyRecord, PublicKeyRecord)


def merge_keys(ours: KeyRecord, theirs: KeyRecord) -> KeyRecord:
    """Our copy of an API key and theirs as one, with our knowledge of its last use."""
    merged = _merge_revocation(ours, theirs)
    replaced = [each for each in (ours, theirs) if each.successor_id]
    if replaced:
        first = min(replaced, key=lambda each: (_or_never(each.overlap_ends_s), each.successor_id))
        merged = replace(merged, successor_id=first.successor_id, overlap_ends_s=first.overlap_ends_s)
    return replace(
        merged,
        review_s=max(ours.review_s, theirs.review_s),
        last_used_s=ours.last_used_s,
        last_ip=ours.last_ip,
    )


def merge_public_keys(ours: PublicKeyRecord, theirs: PublicKeyRecord) -> PublicKeyRecord:
    """Our copy of a registered key and theirs as one."""
    return _merge_revocation(ours, theirs)


def merge_grants(ours: LimitGrant, theirs: LimitGrant) -> LimitGrant:
    """Our copy of a grant and theirs as one."""
    return min(ours, theirs, key=lambda each: (_or_never(each.ended_s), each.made_s, each.team, each.value, each.by))


def merge_revocations(ours: Revocation, theirs: Revocation) -> Revocation:
    """The one that reaches further."""
    return max(ours, theirs, key=lambda each: (each.at_s, not each.by, not each.reason, each.by, each.reason))


def _merge_revocation(ours: Key, theirs: Key) -> Key:
    base = min(ours, theirs, key=lambda each: (each.created_s, each.team, each.owner, each.purpose, each.created_by))
    revoked = [each for each in (ours, theirs) if each.revoked_s is not None]
    if not revoked:
        return base
    first = min(revoked, key=lambda each: (_or_never(each.revoked_s), each.revoked_by, each.revoked_reason))
    return replace(base, revoked_s=first.revoked_s, revoked_by=first.revoked_by, revoked_reason=first.revoked_reason)


def _or_never(at_s: float | None) -> float:
    return float("inf") if at_s is None else at_s
