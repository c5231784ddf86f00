"""Who was let in once and is so no longer: revocations of a team, a person or a token, and lockdown.

Decides from a proven `Principal` alone. A single key's revocation stands in its own record (`key_record`,
`public_key`); a credential's signature, end and networks are decided before and after.

Rules, the first that fits refuses:
 (a) lockdown of all, then of the principal's team: everything is refused until it is lifted    LockedDown
 (b) the token's id (`jti`) is revoked, whatever its issuer and age                             revoked_token
 (c) the actor is revoked: the `sub` of a JWT, any name in a certificate, the owner of a key    revoked_actor
 (d) the team is revoked                                                                        revoked_team

(c) and (d) concern what was issued up to the moment of the revocation and leave what comes after, so that
a person can be given a new credential. What does not say when it was issued counts as issued before.
A JWT's `iat` has whole seconds: one issued in the very second of the revocation is refused too. An issuer
whose clock runs ahead stamps its tokens later than they are made; where that is to be feared, a lockdown
covers the time in between.

Entries never end by themselves: a second one for the same subject takes the later time, so there is one for
each subject that a person once named, and no bound on a token's life needs to be right for a revoked one
to stay dead.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from policies.credentials.principal import Principal
from policies.errors import LockedDown, NotAuthenticated, Refused, Revoked

ALL_TEAMS = "*"
"""Stands for every team in a lockdown; no team can be called so."""

RevocationKind = Literal["team", "actor", "jti"]
KINDS: tuple[RevocationKind, ...] = ("team", "actor", "jti")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """What `kind` and `subject` name is revoked: all that was issued up to `at_s` (Unix seconds)."""

    kind: RevocationKind
    subject: str
    at_s: float
    by: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not self.subject:
            raise ValueError("a revocation needs a kind (team, actor or jti) and a subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockdown:
    """The gate is closed for `team`, or for ALL_TEAMS, since `since_s` (Unix seconds)."""

    team: str
    since_s: float
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Revocations:
    """All revocations and lockdowns at one moment. Immutable: a change makes a new value."""

    entries: Mapping[tuple[str, str], Revocation] = field(default_factory=lambda: MappingProxyType({}))
    lockdowns: Mapping[str, Lockdown] = field(default_factory=lambda: MappingProxyType({}))

    def check(self, principal: Principal) -> None:
        """Raises LockedDown or NotAuthenticated by the rules at the head of the module."""
        who = {"key_id": principal.key_id, "actor": principal.actor, "issuer": principal.issuer, "team": principal.team}
        if (team := self._locked(principal)) is not None:
            raise LockedDown("lockdown_all" if team == ALL_TEAMS else "lockdown_team", **who)
        if (reason := self._revoked(principal)) is not None:
            raise NotAuthenticated(reason, presented=True, **who)

    def with_revocations(self, added: Iterable[Revocation]) -> "Revocations":
        """This and `added`; of two for one subject the later holds."""
        entries = dict(self.entries)
        for entry in added:
            known = entries.get((entry.kind, entry.subject))
            if known is None or known.at_s < entry.at_s:
                entries[entry.kind, entry.subject] = entry
        return replace(self, entries=MappingProxyType(entries))

    def with_lockdowns(self, added: Iterable[Lockdown]) -> "Revocations":
        """This and `added`; a team locked already keeps its entry."""
        lockdowns = {each.team: each for each in added} | dict(self.lockdowns)
        return replace(self, lockdowns=MappingProxyType(lockdowns))

    def without_lockdown(self, team: str) -> "Revocations":
        """This, with `team` (or ALL_TEAMS) let in again."""
        lockdowns = {name: each for name, each in self.lockdowns.items() if name != team}
        return replace(self, lockdowns=MappingProxyType(lockdowns))

    def _locked(self, principal: Principal) -> str | None:
        return next((team for team in (ALL_TEAMS, principal.team) if team in self.lockdowns), None)

    def _revoked(self, principal: Principal) -> str | None:
        if principal.jti and ("jti", principal.jti) in self.entries:
            return "revoked_token"
        names = (principal.subject, principal.owner, *principal.other_names)
        if any(self._reaches("actor", name, principal.issued_s) for name in names):
            return "revoked_actor"
        return "revoked_team" if self._reaches("team", principal.team, principal.issued_s) else None

    def _reaches(self, kind: RevocationKind, subject: str, issued_s: float | None) -> bool:
        entry = self.entries.get((kind, subject))
        return entry is not None and (issued_s is None or issued_s <= entry.at_s)


def cause_to_cut(principal: Principal, revocations: Revocations, now_s: float) -> Refused | None:
    """Why a running request of `principal` must end at `now_s` (Unix seconds); None while it may go on.

    The same rules as at its start, and the end of its credential: a stream does not outlive what opened it.
    """
    try:
        revocations.check(principal)
    except NotAuthenticated as fault:
        return Revoked(f"{fault.reason}_while_running")
    except LockedDown as fault:
        return fault
    if principal.expires_s is not None and now_s >= principal.expires_s:
        return Revoked("expired_while_running")
    return None
