"""The pages that show keys: the list with its search, and one key with all that is known of it. They change nothing."""

import asyncio
import secrets
from typing import Any
from urllib.parse import urlencode

from gateway.console.keys.form_fields import ids_only, kept
from gateway.console.keys.key_holder import AnyKey, find_key, holder_of_any
from gateway.console.keys.key_listing import ATTENTION, STATES, KeyQuery, KeyRow, Listing, find, read_query, row_of
from gateway.console.keys.limits_shown import limits_of_holder
from gateway.console.page import Answer, Elsewhere, Page, Visit
from gateway.console.world import World
from policies.console.key_rights import may_manage, offered_scopes
from policies.console.viewer import Viewer
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated, NotAuthorized, Refused
from policies.worded import Line

Json = dict[str, Any]
DEFAULT_TERMS = {"overlap": "24h", "next": "90d", "expires": "90d"}


class KeyPages:
    """`/keys` and `/keys/ID`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def listing(self, visit: Visit) -> Answer:
        """The keys of the viewer's teams that fit the search."""
        if (clean := ids_only(visit.query)) != visit.query:
            return Elsewhere(f"{visit.path}?{urlencode(clean)}")
        asked, viewer = read_query(visit.query), visit.viewer
        if asked.team:
            viewer.require_team(asked.team)
        records = [record for record in self._all() if viewer.may_see_team(record.team)]
        teams = sorted({record.team for record in records} | set(own_teams(self._world, viewer)))
        # Ten thousand keys take a quarter of a second, which no client of the gateway shall wait for.
        found, attention = await asyncio.to_thread(_found, records, asked, visit.now_us / 1e6)
        data = {
            "listing": found,
            "asked": asked,
            "now_s": visit.now_us / 1e6,
            "teams": teams,
            "states": (ATTENTION, *STATES),
            "attention": attention,
            "may_create": bool(offered_scopes(viewer) and own_teams(self._world, viewer)),
        }
        return Page("keys/list.html", data)

    async def shown(self, visit: Visit) -> Page:
        """One key, with the forms for what may be done with it."""
        return await self.page_of(visit, self.find(visit))

    def find(self, visit: Visit) -> AnyKey:
        """The key that the path names. Raises NotAuthorized for one that is not there and one of another team alike."""
        record = find_key(visit.item, self._world.keys)
        if record is None:
            raise NotAuthorized("console_key_unknown")
        visit.viewer.require_team(record.team)
        return record

    async def page_of(self, visit: Visit, record: AnyKey, form: str = "", fault: Line = "") -> Page:
        """The key's page; `fault` is the one line about the form that was just sent, whose fields are kept."""
        world, now_s = self._world, visit.now_us / 1e6
        holder = holder_of_any(record, world.keys)
        row = row_of(record, now_s)
        data = {
            "row": row,
            "now_s": now_s,
            "limits": await limits_of_holder(world.gate, holder),
            "refusal": _refusal(holder, world),
            "team_known": record.team in world.gate.in_force.policy.teams,
            "form_id": secrets.token_urlsafe(16),
            "form": form,
            "fault": fault,
            "typed": DEFAULT_TERMS | (kept(visit.form) if fault else {}),
            **_may(row, visit.viewer, record, world),
        }
        return Page("keys/key.html", data, 400 if fault else 200)

    def _all(self) -> tuple[AnyKey, ...]:
        return (*self._world.keys.records(), *self._world.keys.public_keys.records())


def _found(records: list[AnyKey], asked: KeyQuery, now_s: float) -> tuple[Listing, int]:
    """The page that is asked for, and how many of all the keys need a look. Records never change, so a thread may."""
    rows = [row_of(record, now_s) for record in records]
    return find(rows, asked), sum(bool(row.findings) for row in rows)


def own_teams(world: World, viewer: Viewer) -> list[str]:
    """The policy's teams that the viewer may see, by name."""
    return sorted(filter(viewer.may_see_team, world.gate.in_force.policy.teams))


def _may(row: KeyRow, viewer: Viewer, record: AnyKey, world: World) -> dict[str, bool]:
    """Which forms the page has; each act judges again for itself."""
    managed = may_manage(viewer, record.team, record.scopes)
    named = record.team in world.gate.in_force.policy.teams
    api_key, living = row.kind == "api_key", row.state != "revoked"
    return {
        "may_rotate": managed and api_key and named and row.state == "active" and not row.successor,
        "may_review": managed and api_key and living,
        "may_revoke": managed and living,
    }


def _refusal(holder: Principal, world: World) -> str:
    """Why an active key is refused all the same: a lockdown, or a revocation of its owner or team."""
    try:
        world.keys.revocations.current.check(holder)
    except (NotAuthenticated, Refused) as fault:
        return fault.reason
    return ""
