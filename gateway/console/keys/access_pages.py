"""The page of what is shut or widened for a while: lockdowns, revocations, grants; and an admin's forms for them.

A viewer of some teams sees those teams' lines only: which persons and tokens are revoked is not theirs to see.
"""

from collections.abc import Mapping
from typing import Any

from gateway.admin.act import ActRefused
from gateway.console.keys.form_fields import TICKED, kept, why
from gateway.console.keys.key_pages import own_teams
from gateway.console.page import Answer, Elsewhere, Page, Visit
from gateway.console.world import World
from policies.console.key_rights import may_command
from policies.console.viewer import Viewer
from policies.credentials.revocation import ALL_TEAMS, KINDS, Lockdown, Revocation
from policies.limiting.limit_grant import GRANTABLE, LimitGrant
from policies.worded import Line, line_of

Json = dict[str, Any]
UNSURE = "unsure"
MAX_SHOWN = 200
"""Of each kind, the latest; all of them stand in the log."""


class AccessPages:
    """`/access` and the forms below it."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def shown(self, visit: Visit) -> Page:
        """What is in force, and grants that ended too when asked for."""
        return self._page(visit)

    async def lock(self, visit: Visit) -> Answer:
        """Refuse a team, or everybody, until it is lifted."""
        return await self._commanded(visit, "lock", "lockdown", _team_asked(visit.form))

    async def lift(self, visit: Visit) -> Answer:
        """Let them in again."""
        return await self._commanded(visit, "lift", "lockdown", {"lift": True, **_team_asked(visit.form)})

    async def revoke(self, visit: Visit) -> Answer:
        """End what one person, team or token holds, at once."""
        kind = visit.form.get("kind", "")
        asked: Json = {kind: visit.form.get("subject", "")} if kind in KINDS else {}
        return await self._commanded(visit, "revoke", "revoke", asked)

    async def grant(self, visit: Visit) -> Answer:
        """Raise one limit of a team until a moment."""
        form = visit.form
        limit = f"{form.get('limit', '')}={form.get('value', '').strip()}"
        asked = {"team": form.get("team", ""), "limit": limit, "until": form.get("until", "")}
        return await self._commanded(visit, "grant", "grants.add", asked)

    async def end_grant(self, visit: Visit) -> Answer:
        """End a grant before its time."""
        return await self._commanded(visit, "end", "grants.end", {"id": visit.form.get("id", "")})

    async def _commanded(self, visit: Visit, form: str, act: str, asked: Json) -> Answer:
        """Do the act and show the page anew, or with the one line why not. What cuts people off wants a tick first."""
        visit.viewer.require_role("admin")
        if form in ("lock", "revoke") and visit.form.get("sure") != TICKED:
            return self._page(visit, form, UNSURE)
        try:
            await self._world.perform(visit, act, asked | why(visit.form))
        except ActRefused as fault:
            return self._page(visit, form, line_of(fault))
        return Elsewhere("/access")

    def _page(self, visit: Visit, form: str = "", fault: Line = "") -> Page:
        viewer, now_s = visit.viewer, visit.now_us / 1e6
        ended = visit.query.get("ended") == "1"
        data = {
            "lockdowns": self._lockdowns(viewer),
            "revocations": self._revocations(viewer),
            "grants": self._grants(viewer, now_s, ended=ended),
            "ended": ended,
            "now_s": now_s,
            "everybody": ALL_TEAMS,
            "teams": own_teams(self._world, viewer),
            "kinds": KINDS,
            "grantable": GRANTABLE,
            "may_command": may_command(viewer),
            "form": form,
            "fault": fault,
            "typed": {"until": "12h", "team": visit.query.get("team", "")} | (kept(visit.form) if fault else {}),
        }
        return Page("keys/access.html", data, 400 if fault else 200)

    def _lockdowns(self, viewer: Viewer) -> list[Lockdown]:
        """That of everybody concerns every viewer."""
        found = self._world.keys.revocations.current.lockdowns.values()
        return [each for each in found if each.team == ALL_TEAMS or viewer.may_see_team(each.team)]

    def _revocations(self, viewer: Viewer) -> list[Revocation]:
        entries = self._world.keys.revocations.current.entries.values()
        shown = [
            each for each in entries if viewer.teams is None or (each.kind == "team" and each.subject in viewer.teams)
        ]
        return sorted(shown, key=lambda each: -each.at_s)[:MAX_SHOWN]

    def _grants(self, viewer: Viewer, now_s: float, *, ended: bool) -> list[LimitGrant]:
        found = [each for each in self._world.keys.grants.all() if viewer.may_see_team(each.team)]
        return [each for each in reversed(found) if ended or each.holds(now_s)][:MAX_SHOWN]


def _team_asked(form: Mapping[str, str]) -> Json:
    """The team of a lockdown; everybody is chosen, never left out by mistake."""
    team = form.get("team", "")
    return {} if team == ALL_TEAMS else {"team": team}
