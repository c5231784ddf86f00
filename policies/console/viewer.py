"""Who looks at a page of the console, in which role, and what of which teams they may see.

Decides nothing about how somebody was proven (the sign-in) and which role that gives (`policies.console.roles`).
Rules:
 (1) admin      everything but the sign-off of reviews of their own acts; all teams
 (2) auditor    read only; the teams that policy.yaml names for the role, or all
 (3) team-lead  the keys, usage and chat of their own teams; of the log only those teams' records
 (4) What a viewer may not see looks like what does not exist: both are NotAuthorized, and the page says neither.
"""

from typing import Literal

from msgspec import Struct

from policies.audit_record import Actor
from policies.errors import NotAuthorized

Role = Literal["admin", "auditor", "team-lead"]
ROLES: tuple[Role, ...] = ("admin", "auditor", "team-lead")
EVERY_ROLE: frozenset[Role] = frozenset(ROLES)


class Viewer(Struct, frozen=True, kw_only=True):
    """One signed-in person at one request: role and teams are those of the policy in force now.

    `person` is the name for pages, `actor` what records say of them. `teams` None means all. `session` is the
    session's id, which is no secret; `csrf` the token that each of its forms carries, which is one. `break_glass`:
    signed in with an API key, which raises an alarm.
    """

    person: str
    actor: Actor
    role: Role
    teams: frozenset[str] | None
    session: str
    break_glass: bool = False
    csrf: str = ""

    def may_see_team(self, team: str) -> bool:
        """True when `team` is among the viewer's."""
        return self.teams is None or team in self.teams

    def require_team(self, team: str) -> None:
        """Raises NotAuthorized unless `team` is among the viewer's."""
        if not self.may_see_team(team):
            raise NotAuthorized("console_team_not_own")

    def require_role(self, *roles: Role) -> None:
        """Raises NotAuthorized unless the viewer holds one of `roles`."""
        if self.role not in roles:
            raise NotAuthorized("console_role_missing")
