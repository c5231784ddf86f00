"""The pages of teams: the list, and one team with its limits and their use now, its grants and its lockdown."""

from typing import Any

from msgspec import Struct

from gateway.console.keys.key_holder import AnyKey
from gateway.console.keys.key_pages import own_teams
from gateway.console.keys.limits_shown import limits_of_team
from gateway.console.page import Page, Visit
from gateway.console.world import World
from policies.console.key_rights import may_command, offered_scopes
from policies.credentials.revocation import ALL_TEAMS, Lockdown
from policies.errors import NotAuthorized
from policies.limiting.limit_grant import GRANTABLE, LimitGrant
from policies.policy import Team

Json = dict[str, Any]


class TeamRow(Struct, frozen=True):
    """One team of the list."""

    name: str
    team: Team
    active_keys: int
    grants: int
    locked: bool


class TeamPages:
    """`/teams` and `/teams/NAME`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def listing(self, visit: Visit) -> Page:
        """The viewer's teams."""
        now_s, policy = visit.now_us / 1e6, self._world.gate.in_force.policy
        active = self._active_keys(now_s)
        rows = [
            TeamRow(
                name, policy.teams[name], active.get(name, 0), len(self._grants(name, now_s)), bool(self._locked(name))
            )
            for name in own_teams(self._world, visit.viewer)
        ]
        return Page("keys/teams.html", {"rows": rows})

    async def shown(self, visit: Visit) -> Page:
        """One team. Raises NotAuthorized for one that is not there and one that is not the viewer's alike."""
        name, now_s, gate = visit.item, visit.now_us / 1e6, self._world.gate
        visit.viewer.require_team(name)
        team = gate.in_force.policy.teams.get(name)
        if team is None:
            raise NotAuthorized("console_team_unknown")
        data = {
            "name": name,
            "team": team,
            "limits": await limits_of_team(gate, name),
            "key_limits": gate.widened(team, name).key_limits,
            "grants": self._grants(name, now_s),
            "locked": self._locked(name),
            "active_keys": self._active_keys(now_s).get(name, 0),
            "may_create": bool(offered_scopes(visit.viewer)),
            "may_command": may_command(visit.viewer),
            "grantable": GRANTABLE,
        }
        return Page("keys/team.html", data)

    def _active_keys(self, now_s: float) -> dict[str, int]:
        counts: dict[str, int] = {}
        every: tuple[AnyKey, ...] = (*self._world.keys.records(), *self._world.keys.public_keys.records())
        for record in every:
            if record.state(now_s) == "active":
                counts[record.team] = counts.get(record.team, 0) + 1
        return counts

    def _grants(self, name: str, now_s: float) -> tuple[LimitGrant, ...]:
        return tuple(grant for grant in self._world.keys.grants.of_team(name) if grant.holds(now_s))

    def _locked(self, name: str) -> tuple[Lockdown, ...]:
        """The team's own lockdown, and that of all."""
        locked = self._world.keys.revocations.current.lockdowns
        return tuple(locked[each] for each in (name, ALL_TEAMS) if each in locked)
