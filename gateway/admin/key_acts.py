"""The acts on keys: create, list, rotate, revoke, review. Each plans; `gateway.admin.act` records and carries out.

Rules:
- A key belongs to a team that the policy names. It ends after 90 days unless told otherwise; a key
  without an end takes `unsafe_no_expiry`.
- A rotation mints a successor with the same rights and the same lifetime; both keys hold for the
  overlap. Only an active key without a successor is rotated.
- Registered public keys are listed and revoked here too; they are neither rotated nor reviewed.
- A revocation is for ever, waits for no reason to be given, and doing it twice changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.admin import public_key_acts
from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import (
    CreateKey,
    ListKeys,
    ReviewKeys,
    RevokeKey,
    RotateKey,
    read_arguments,
    read_span_s,
)
from gateway.admin.key_terms import MAX_LIFETIME_S, read_lifetime_s, require_team
from gateway.keys.key_changes import KeyChange
from gateway.keys.key_views import key_view, public_key_view, review_findings, show_time
from gateway.keys.pepper import UnfitPepper
from policies.addresses.networks import read_network
from policies.credentials.api_key import NewKey, mint
from policies.credentials.key_record import DAY_S, KeyRecord, new_record
from policies.worded import line_of, worded

MAX_OVERLAP_S = 30 * DAY_S
STATES = {
    "revoked": worded("revoked", "state_revoked"),
    "expired": worded("expired", "state_expired"),
    "not_yet_valid": worded("not yet valid", "state_not_yet_valid"),
}
"""Of keys that are not active."""

Json = dict[str, Any]


def create_key(arguments: Json, context: ActContext) -> Outcome:
    """A new key; the result is its id and, once, its text."""
    asked = read_arguments(arguments, CreateKey)
    require_team(asked.team, context)
    lifetime_s = read_lifetime_s(asked.expires, unsafe_no_expiry=asked.unsafe_no_expiry)
    key = _mint_unused(context)
    try:
        record = new_record(
            key,
            _peppers(context),
            context.now_s,
            team=asked.team,
            scopes=frozenset(asked.scopes),
            lifetime_s=lifetime_s,
        )
        networks = tuple(dict.fromkeys(str(read_network(text)) for text in asked.networks))
    except ValueError as fault:
        raise ActRefused("bad_argument", line_of(fault)) from fault
    maker = context.actor.name
    record = replace(record, created_by=maker, owner=asked.owner or maker, purpose=asked.purpose, networks=networks)
    return Outcome(result={"id": key.id, "key": key.text}, changes=(KeyChange("key.created", record),))


def _peppers(context: ActContext) -> Mapping[int, bytes]:
    """What new keys are hashed with. Raises ActRefused."""
    try:
        return context.peppers()
    except UnfitPepper as fault:
        raise ActRefused("pepper_unfit", line_of(fault)) from fault


def list_keys(arguments: Json, context: ActContext) -> Outcome:
    """All keys, or those of one team, oldest first."""
    asked = read_arguments(arguments, ListKeys)
    if asked.team is not None:
        require_team(asked.team, context)
    now_s, stores = context.now_s, context.keys
    views = [key_view(record, now_s) for record in stores.records() if asked.team in (None, record.team)]
    public = [each for each in stores.public_keys.records() if asked.team in (None, each.team)]
    return Outcome(result={"keys": views + [public_key_view(record, now_s) for record in public]})


def rotate_key(arguments: Json, context: ActContext) -> Outcome:
    """A successor for a key; the result holds its text, once, and when the old key ends."""
    asked = read_arguments(arguments, RotateKey)
    old = _find(asked.id, context)
    _require_rotatable(old, context)
    overlap_s = read_span_s("overlap", asked.overlap, 0, MAX_OVERLAP_S)
    key = _mint_unused(context)
    lifetime_s = None if old.expires_s is None else old.expires_s - old.created_s
    peppers = _peppers(context)
    fresh = new_record(key, peppers, context.now_s, team=old.team, scopes=old.scopes, lifetime_s=lifetime_s)
    fresh = replace(fresh, owner=old.owner, purpose=old.purpose, networks=old.networks)
    fresh = replace(fresh, created_by=context.actor.name, predecessor_id=old.id)
    old = replace(old, successor_id=key.id, overlap_ends_s=context.now_s + overlap_s)
    result = {"id": key.id, "key": key.text, "predecessor": old.id, "predecessor_ends": show_time(old.ends_s)}
    return Outcome(result=result, changes=(KeyChange("key.created", fresh), KeyChange("key.rotated", old)))


def revoke_key(arguments: Json, context: ActContext) -> Outcome:
    """An end to a key at once, running streams included."""
    asked = read_arguments(arguments, RevokeKey)
    if (registered := context.keys.public_keys.get(asked.id)) is not None:
        return public_key_acts.revoke_public_key(registered, asked, context)
    record = _find(asked.id, context)
    if record.revoked_s is not None:
        return Outcome(result=key_view(record, context.now_s))
    revoked = replace(record, revoked_s=context.now_s, revoked_by=context.actor.name, revoked_reason=asked.reason)
    return Outcome(result=key_view(revoked, context.now_s), changes=(KeyChange("key.revoked", revoked),))


def review_keys(arguments: Json, context: ActContext) -> Outcome:
    """Without an id: the active keys that need a look, and why. With one: its next review date is set."""
    asked = read_arguments(arguments, ReviewKeys)
    if asked.id is not None:
        record = _find(asked.id, context)
        span_s = read_span_s("next", asked.next, DAY_S, MAX_LIFETIME_S)
        reviewed = replace(record, review_s=context.now_s + span_s)
        return Outcome(result=key_view(reviewed, context.now_s), changes=(KeyChange("key.reviewed", reviewed),))
    found = []
    for record in context.keys.records():
        findings = review_findings(record, context.now_s)
        if findings and record.state(context.now_s) == "active":
            found.append(key_view(record, context.now_s) | {"findings": findings})
    return Outcome(result={"keys": found})


def _mint_unused(context: ActContext) -> NewKey:
    key = mint(context.random_bytes)
    if context.keys.get(key.id) is not None:
        # One chance in 2**71 with working randomness: without it, no key may be made at all.
        line = "a new key got the id of another: the system's randomness is broken"
        raise ActRefused("randomness_broken", worded(line, "randomness_broken"))
    return key


def _find(key_id: str, context: ActContext) -> KeyRecord:
    record = context.keys.get(key_id)
    if record is None and context.keys.public_keys.get(key_id) is not None:
        line = f"{key_id} is a registered public key: register its successor, then revoke it"
        raise ActRefused("not_an_api_key", worded(line, "not_an_api_key", key=key_id))
    if record is None:
        line = f"there is no key {key_id!r}; 'corral keys list' shows the ids"
        raise ActRefused("key_unknown", worded(line, "key_unknown", key=key_id))
    return record


def _require_rotatable(record: KeyRecord, context: ActContext) -> None:
    require_team(record.team, context)
    state = record.state(context.now_s)
    if state != "active":
        line = f"key {record.id} is {STATES[state]}: create a new one instead"
        raise ActRefused("key_not_active", worded(line, "key_not_active", key=record.id, state=STATES[state]))
    if record.successor_id:
        line = f"key {record.id} is being replaced by {record.successor_id}: rotate that"
        told = worded(line, "already_rotated", key=record.id, successor=record.successor_id)
        raise ActRefused("already_rotated", told)
