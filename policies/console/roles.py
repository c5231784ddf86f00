"""Which role somebody holds on the console, and for which teams: asked anew at every request.

Decides on what a sign-in proved (`policies.console.session.Proof`) and the `roles` of the policy in force; so a change
of the policy ends or changes a session at once. Rules:
 (1) An entry applies to who is in one of its `groups`, is one of its `subjects` (both the identity provider's words),
     or shows a certificate with one of its `certificates`. Nothing else makes a role; default nobody.
 (2) Who is an auditor holds no other role: none may change things and review the changes (NIST 800-53 AC-5; admin and
     auditor are `access.NEVER_TOGETHER`, and a team lead changes keys). Such a person is refused, not given the lesser.
 (3) Of admin and team-lead the admin's holds.
 (4) The teams are those of all entries for that role together; an entry without any stands for all. An admin has all.
 (5) An API key with the scope `admin` is the way in when the others fail ("break-glass"): admin, and an alarm.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from msgspec import Struct

from policies.certificates.certificate_mapping import check_certificate_name
from policies.console.session import Proof
from policies.console.viewer import Role
from policies.errors import NotAuthorized

MAX_NAME_CHARS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleGrant:
    """Who holds a role on the console.

    `role` is `admin` (changes everything that the commands do, sees all teams), `auditor` (reads, changes nothing) or
    `team-lead` (keys, usage and chat of the own teams). `groups` are names in the identity provider's groups claim.
    `subjects` are what its ID tokens call a person (`sub`, unless `console.oidc.subject_claim` names another claim).
    `certificates` are names in client certificates, such as `email:anna@example.org`. `teams` are those the role is
    for: a team lead needs some, an auditor without any reads of all, an admin always has all.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    role: Role
    groups: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    teams: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not (self.groups or self.subjects or self.certificates):
            raise ValueError("names nobody: say groups, subjects or certificates")
        if any(not 0 < len(each) <= MAX_NAME_CHARS for each in (*self.groups, *self.subjects)):
            raise ValueError(f"groups and subjects must be 1 to {MAX_NAME_CHARS} characters each")
        if self.role == "team-lead" and not self.teams:
            raise ValueError("a team-lead needs teams: name those that they lead")
        if self.role == "admin" and self.teams is not None:
            raise ValueError("an admin has all teams: leave teams out")
        for name in self.certificates:
            check_certificate_name(name)


class Standing(Struct, frozen=True):
    """A role, and its teams; None means all."""

    role: Role
    teams: frozenset[str] | None


def standing_of(proof: Proof, grants: Iterable[RoleGrant]) -> Standing:
    """The role and teams of `proof` by `grants`. Raises NotAuthorized for who has none, or two that stand apart."""
    if proof.method == "break_glass":
        return Standing("admin", None)
    held = [grant for grant in grants if _applies(grant, proof)]
    roles = {grant.role for grant in held}
    who = {"actor": proof.subject, "issuer": proof.issuer}
    if not roles:
        raise NotAuthorized("console_role_none", **who)
    if "auditor" in roles and len(roles) > 1:
        raise NotAuthorized(f"console_{'_and_'.join(sorted(roles)).replace('-', '_')}_together", **who)
    if "admin" in roles:
        return Standing("admin", None)
    role: Role = "auditor" if "auditor" in roles else "team-lead"
    return Standing(role, _teams(held))


def _applies(grant: RoleGrant, proof: Proof) -> bool:
    if proof.method == "certificate":
        return any(name in grant.certificates for name in proof.names)
    return proof.subject in grant.subjects or any(group in grant.groups for group in proof.groups)


def _teams(held: list[RoleGrant]) -> frozenset[str] | None:
    """Rule (4)."""
    if any(grant.teams is None for grant in held):
        return None
    return frozenset(team for grant in held for team in grant.teams or ())


def unknown_teams(grants: Iterable[RoleGrant], known: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Each team that an entry names and the policy does not, with the entry's number from 0."""
    teams = frozenset(known)
    for number, grant in enumerate(grants):
        for team in grant.teams or ():
            if team not in teams:
                yield number, team
