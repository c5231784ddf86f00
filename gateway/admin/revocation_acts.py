"""The acts `corral revoke` and `corral lockdown`: nobody who is meant is let in, and what runs is cut.

Rules:
- A revocation names one actor, team or token. The keys that it reaches are marked revoked one by one, each
  with a record of its own, and the revocation itself stands for what is no key here: JWTs and certificates.
- A team must be one of the policy's or have keys: a misspelt name would revoke nothing and look as if it had.
  Actors and tokens are not known here before they call, so any name is taken; the answer counts the keys.
- A lockdown begins and is lifted for one team or for all; doing either twice changes nothing. To lift that of
  all lets no team in that is locked down by itself.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import LockDown, Revoke, read_arguments
from gateway.admin.key_terms import require_team
from gateway.admin.public_key_acts import revoked_public_keys
from gateway.keys.key_changes import KeyChange
from gateway.keys.key_views import show_time
from policies.audit_record import Change
from policies.credentials.key_record import KeyRecord
from policies.credentials.public_key import PublicKeyRecord
from policies.credentials.revocation import ALL_TEAMS, Lockdown, Revocation, RevocationKind
from policies.worded import worded

Json = dict[str, Any]
Concerns = Callable[[KeyRecord | PublicKeyRecord], bool]

EVENTS: dict[RevocationKind, str] = {"team": "team.revoked", "actor": "actor.revoked", "jti": "token.revoked"}


def revoke(arguments: Json, context: ActContext) -> Outcome:
    """What one actor, team or token holds is worth nothing from now on."""
    asked = read_arguments(arguments, Revoke)
    kind, subject = _read_subject(asked)
    concerns = _concerned(kind, subject)
    if kind == "team" and not any(map(concerns, _all_keys(context))):
        require_team(subject, context)
    entry = Revocation(kind=kind, subject=subject, at_s=context.now_s, by=context.actor.name, reason=asked.reason)
    keys = [record for record in context.keys.records() if concerns(record) and record.revoked_s is None]
    public = [each for each in context.keys.public_keys.records() if concerns(each) and each.revoked_s is None]
    public_revoked, public_notes = revoked_public_keys(public, context, asked.reason, asked.ticket)
    counted = len(keys) + len(public)
    told = Change(object=f"{kind}:{subject}", details={"keys": counted}, reason=asked.reason, ticket=asked.ticket)
    return Outcome(
        result={kind: subject, "revoked": show_time(context.now_s), "keys": counted},
        changes=tuple(KeyChange("key.revoked", _revoked(record, asked.reason, context)) for record in keys),
        notes=((EVENTS[kind], told), *public_notes),
        then=(
            partial(context.keys.revocations.revoke, entry),
            partial(context.keys.public_keys.save, *public_revoked),
        ),
    )


def lock_down(arguments: Json, context: ActContext) -> Outcome:
    """Close the gate for a team or for all, or open it again."""
    asked = read_arguments(arguments, LockDown)
    team = ALL_TEAMS if asked.team is None else asked.team
    known = context.keys.revocations.current.lockdowns.get(team)
    if known is None and team != ALL_TEAMS:
        require_team(team, context)
    if asked.lift:
        return _lift(team, known, asked, context)
    if known is not None:
        return Outcome(result=_view(team, known))
    entry = Lockdown(team=team, since_s=context.now_s, by=context.actor.name, reason=asked.reason)
    told = Change(object=f"team:{team}", reason=asked.reason, ticket=asked.ticket)
    return Outcome(
        result=_view(team, entry),
        notes=(("lockdown.begun", told),),
        then=(partial(context.keys.revocations.lock, entry),),
    )


def _lift(team: str, known: Lockdown | None, asked: LockDown, context: ActContext) -> Outcome:
    if known is None:
        return Outcome(result=_view(team, None))
    told = Change(object=f"team:{team}", details={"since_s": known.since_s}, reason=asked.reason, ticket=asked.ticket)
    return Outcome(
        result=_view(team, None),
        notes=(("lockdown.lifted", told),),
        then=(partial(context.keys.revocations.lift, team),),
    )


def _view(team: str, entry: Lockdown | None) -> Json:
    return {"team": team, "locked": entry is not None, "since": show_time(entry.since_s) if entry else None}


def _read_subject(asked: Revoke) -> tuple[RevocationKind, str]:
    named: dict[RevocationKind, str] = {"actor": asked.actor, "team": asked.team, "jti": asked.jti}
    given = [(kind, subject) for kind, subject in named.items() if subject]
    if len(given) != 1:
        raise ActRefused("bad_argument", worded("name one of --actor, --team and --jti", "revoke_whom"))
    return given[0]


def _all_keys(context: ActContext) -> tuple[KeyRecord | PublicKeyRecord, ...]:
    return (*context.keys.records(), *context.keys.public_keys.records())


def _concerned(kind: RevocationKind, subject: str) -> Concerns:
    if kind == "team":
        return lambda record: record.team == subject
    return lambda record: kind == "actor" and record.owner == subject


def _revoked(record: KeyRecord, reason: str, context: ActContext) -> KeyRecord:
    return replace(record, revoked_s=context.now_s, revoked_by=context.actor.name, revoked_reason=reason)
