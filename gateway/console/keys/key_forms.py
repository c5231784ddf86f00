"""The forms that change keys: create, rotate, review, revoke. Each asks `key_rights`, then runs the command's own act.

A new key's text stands in the answer to its form and nowhere else: not in an address, so in no history; not in the
log, which never had it; not in a page that can be loaded again (`SentForms`).
"""

import secrets
from collections.abc import Mapping

from gateway.admin.act import ActRefused
from gateway.console.keys.form_fields import TICKED, kept, why
from gateway.console.keys.key_holder import AnyKey
from gateway.console.keys.key_pages import DEFAULT_TERMS, KeyPages, own_teams
from gateway.console.keys.sent_forms import SentForms
from gateway.console.page import Answer, Elsewhere, Page, Turned, Visit
from gateway.console.world import Json, World
from policies.console.key_rights import offered_scopes, require_endless, require_manage
from policies.errors import NotAuthorized
from policies.worded import Line, line_of

SCOPE = "scope_"
UNSURE = "unsure"


class KeyForms:
    """`/keys/new` and `/keys/ACT/ID`."""

    def __init__(self, world: World, pages: KeyPages, sent: SentForms) -> None:
        self._world = world
        self._pages = pages
        self._sent = sent

    async def new(self, visit: Visit) -> Page:
        """The empty form. The team may be named in the address."""
        first = {SCOPE + scope: TICKED for scope in ("inference", "models")}
        return self._form(visit, {**DEFAULT_TERMS, **first, "team": visit.query.get("team", "")})

    async def create(self, visit: Visit) -> Page:
        """Make the key and show it, this once."""
        asked = _asked(visit.form)
        require_manage(visit.viewer, asked["team"], set(asked["scopes"]))
        if asked["unsafe_no_expiry"]:
            require_endless(visit.viewer)
        self._require_first(visit)
        try:
            made = await self._world.perform(visit, "keys.create", asked | why(visit.form))
        except ActRefused as fault:
            return self._form(visit, kept(visit.form), line_of(fault))
        return Page("keys/secret.html", {"made": made, "team": asked["team"]})

    async def rotate(self, visit: Visit) -> Page:
        """Make a successor and show it, this once; both hold until the overlap ends."""
        record = self._manageable(visit)
        self._require_first(visit)
        asked = {"id": record.id, "overlap": visit.form.get("overlap", "")}
        try:
            made = await self._world.perform(visit, "keys.rotate", asked | why(visit.form))
        except ActRefused as fault:
            return await self._pages.page_of(visit, record, "rotate", line_of(fault))
        return Page("keys/secret.html", {"made": made, "team": record.team})

    async def review(self, visit: Visit) -> Answer:
        """Note that somebody looked at the key, and when the next look is due."""
        asked = {"id": visit.item, "next": visit.form.get("next", "")}
        return await self._change(visit, "review", asked)

    async def revoke(self, visit: Visit) -> Answer:
        """End the key at once and for ever, running streams included."""
        record = self._manageable(visit)
        if visit.form.get("sure") != TICKED:
            return await self._pages.page_of(visit, record, "revoke", UNSURE)
        return await self._change(visit, "revoke", {"id": visit.item})

    async def _change(self, visit: Visit, act: str, asked: Json) -> Answer:
        record = self._manageable(visit)
        try:
            await self._world.perform(visit, f"keys.{act}", asked | why(visit.form))
        except ActRefused as fault:
            return await self._pages.page_of(visit, record, act, line_of(fault))
        return Elsewhere(f"/keys/{record.id}")

    def _manageable(self, visit: Visit) -> AnyKey:
        record = self._pages.find(visit)
        require_manage(visit.viewer, record.team, record.scopes)
        return record

    def _require_first(self, visit: Visit) -> None:
        """Raises Turned for a form that was sent before."""
        if not self._sent.take(visit.form.get("form_id", "")):
            raise Turned(409, "keys.sent_before")

    def _form(self, visit: Visit, typed: Mapping[str, str], fault: Line = "") -> Page:
        teams, scopes = own_teams(self._world, visit.viewer), offered_scopes(visit.viewer)
        if not scopes:
            raise NotAuthorized("console_role_missing")
        data = {
            "teams": teams,
            "scopes": scopes,
            "may_be_endless": visit.viewer.role == "admin",
            "typed": dict(typed),
            "fault": fault,
            "form_id": secrets.token_urlsafe(16),
        }
        return Page("keys/new.html", data, 400 if fault else 200)


def _asked(form: Mapping[str, str]) -> Json:
    """The arguments of `keys.create` as the form gives them."""
    endless = form.get("endless") == TICKED
    return {
        "team": form.get("team", ""),
        "owner": form.get("owner", ""),
        "purpose": form.get("purpose", ""),
        "expires": None if endless else form.get("expires", "") or None,
        "unsafe_no_expiry": endless,
        "networks": form.get("networks", "").split(),
        "scopes": sorted(name.removeprefix(SCOPE) for name in form if name.startswith(SCOPE)),
    }
