"""The acts on registered public keys (`corral keys register`), with which the `ollama` command logs in.

Rules: those of API keys for team, scopes, networks and the end. A public key is registered once; one that
was revoked never comes back, because whoever took the private half still has it.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import RegisterKey, RevokeKey, read_arguments
from gateway.admin.key_terms import read_lifetime_s, require_team
from gateway.keys.key_views import public_key_view
from policies.addresses.networks import read_network
from policies.audit_record import Change
from policies.credentials.public_key import PublicKeyRecord, fingerprint, public_key_id, read_public_key

Json = dict[str, Any]


def register_key(arguments: Json, context: ActContext) -> Outcome:
    """A public key for a team; the result is what `keys list` shows of it."""
    asked = read_arguments(arguments, RegisterKey)
    require_team(asked.team, context)
    lifetime_s = read_lifetime_s(asked.expires, unsafe_no_expiry=asked.unsafe_no_expiry)
    try:
        record = _new_record(asked, context, None if lifetime_s is None else context.now_s + lifetime_s)
    except ValueError as fault:
        raise ActRefused("bad_argument", str(fault)) from fault
    known = context.keys.public_keys.get(record.id)
    if known is not None:
        was = "" if known.revoked_s is None else " and revoked"
        raise ActRefused(
            "already_registered",
            f"this key is registered{was} as {known.id}, team {known.team}, and no key is registered twice: "
            "make a new one with ssh-keygen",
        )
    told = _told(record, asked.reason, asked.ticket)
    return Outcome(
        result=public_key_view(record, context.now_s),
        notes=(("public_key.registered", told),),
        then=(partial(context.keys.public_keys.save, record),),
    )


def revoke_public_key(record: PublicKeyRecord, asked: RevokeKey, context: ActContext) -> Outcome:
    """An end to a registered key at once, running streams included; doing it twice changes nothing."""
    if record.revoked_s is not None:
        return Outcome(result=public_key_view(record, context.now_s))
    revoked, notes = revoked_public_keys([record], context, asked.reason, asked.ticket)
    return Outcome(
        result=public_key_view(revoked[0], context.now_s),
        notes=notes,
        then=(partial(context.keys.public_keys.save, *revoked),),
    )


def revoked_public_keys(
    records: Iterable[PublicKeyRecord], context: ActContext, reason: str, ticket: str
) -> tuple[tuple[PublicKeyRecord, ...], tuple[tuple[str, Change], ...]]:
    """Each of `records` as it is when revoked now, and what the log is told of it."""
    by = context.actor.name
    revoked = tuple(
        replace(record, revoked_s=context.now_s, revoked_by=by, revoked_reason=reason) for record in records
    )
    return revoked, tuple(("public_key.revoked", _told(record, reason, ticket)) for record in revoked)


def _new_record(asked: RegisterKey, context: ActContext, expires_s: float | None) -> PublicKeyRecord:
    blob = read_public_key(asked.public_key)
    return PublicKeyRecord(
        id=public_key_id(blob),
        blob=blob,
        team=asked.team,
        owner=asked.owner or context.actor.name,
        purpose=asked.purpose,
        scopes=frozenset(asked.scopes),
        networks=tuple(dict.fromkeys(str(read_network(text)) for text in asked.networks)),
        created_s=context.now_s,
        created_by=context.actor.name,
        expires_s=expires_s,
    )


def _told(record: PublicKeyRecord, reason: str, ticket: str) -> Change:
    details: dict[str, str | int | float | bool] = {
        "team": record.team,
        "owner": record.owner,
        "purpose": record.purpose,
        "scopes": " ".join(sorted(record.scopes)),
        "networks": " ".join(record.networks),
        "fingerprint": fingerprint(record.blob),
    }
    ends = {} if record.expires_s is None else {"expires_s": record.expires_s}
    return Change(object=f"key:{record.id}", details=details | ends, reason=reason, ticket=ticket)
