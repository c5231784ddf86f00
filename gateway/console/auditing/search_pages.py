"""The search page: conditions, questions of one click, what was found and how it adds up; and the searches kept.

Order of every answer: found in a thread, recorded (`audit.searched`, lasting), then opened and shown.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from gateway.admin.act import ActRefused
from gateway.audit.index.saved_queries import QueryFault, SavedQueries
from gateway.console.auditing.asking import Asked, asked_of, cursor_of, kept_for
from gateway.console.auditing.findings import Found, Shown, opened_views, search
from gateway.console.auditing.log_reading import SECONDS, LogReading, told_faults
from gateway.console.auditing.rows import explained, rows
from gateway.console.page import Answer, Elsewhere, Page, Turned, Visit
from gateway.console.world import World
from policies.auditing.conditions import told_to_log
from policies.auditing.exported import FORMATS
from policies.auditing.review import spans_text
from policies.auditing.search_filter import NAMES, OUTCOMES, STAGES
from policies.console.viewer import Viewer
from policies.worded import Line, line_of, worded

ASKED_BY = (*NAMES, "saved", "cursor")
MAY_KEEP = frozenset({"admin", "auditor"})


class SearchPages:
    """What answers under /audit itself."""

    def __init__(self, world: World, reading: LogReading) -> None:
        self._world = world
        self._reading = reading

    async def show(self, visit: Visit) -> Answer:
        """GET /audit: the form, and what was found when something was asked."""
        if not any(name in visit.query for name in ASKED_BY):
            return await self.form(visit, {})
        try:
            asked = await asyncio.to_thread(self.asked, visit, visit.query)
            at = (visit.now_us, cursor_of(visit))
            found = await self._reading.ask(lambda each: search(each, self._world.home, visit.viewer, asked, at))
            told: dict[str, Any] = found.told | {"hits": len(found.lines), "saved": asked.saved}
            await self._world.perform(visit, "audit.search", told)
        except (ValueError, ActRefused) as fault:
            return await self.form(visit, visit.query, line_of(fault))
        lines = [*found.lines, *(line for _, line in found.groups)]
        shown = await asyncio.to_thread(opened_views, self._world, lines)
        return await self.form(visit, asked.typed, found=_results(asked, found, shown))

    async def form(
        self, visit: Visit, typed: Mapping[str, str], line: Line = "", found: dict[str, Any] | None = None
    ) -> Answer:
        """The page; `line` is what is wrong with what was typed."""
        kept = await asyncio.to_thread(self._kept, visit.viewer)
        data = {
            "typed": {name: typed.get(name, "") for name in NAMES},
            "line": line,
            "found": found,
            "kept": {name: urlencode({"saved": name}) for name in kept},
            "outcomes": OUTCOMES,
            "stages": STAGES,
            "formats": FORMATS,
            "may_keep": visit.viewer.role in MAY_KEEP,
            "may_review": visit.viewer.role == "auditor",
            "limited": visit.viewer.teams is not None,
            "explained": explained,
            "names_hidden": not self._world.acts_alone,
        }
        return Page("audit/search.html", data, 400 if line else 200)

    async def keep(self, visit: Visit) -> Answer:
        """POST /audit/searches: keep what was asked under a name."""
        name = visit.form.get("name", "").strip()
        try:
            asked = await asyncio.to_thread(self.asked, visit, visit.form)
            _require_own_team(visit.viewer, asked)
            await asyncio.to_thread(SavedQueries(self._world.home.path).require_free, name)
            told = told_to_log(asked.conditions, ()) | {"name": name}
            await self._world.perform(visit, "audit.query_save", told)
            await asyncio.to_thread(SavedQueries(self._world.home.path).put, name, asked.conditions)
        except (ValueError, ActRefused, QueryFault) as fault:
            return await self.form(visit, visit.form, line_of(fault))
        return Elsewhere(f"/audit?{urlencode({'saved': name})}")

    async def forget(self, visit: Visit) -> Answer:
        """POST /audit/searches/remove: keep one no more."""
        name = visit.form.get("name", "")
        kept = await asyncio.to_thread(self._kept, visit.viewer)
        if name not in kept:
            raise Turned(404, "audit.no_search")
        try:
            await self._world.perform(visit, "audit.query_remove", told_to_log(kept[name], ()) | {"name": name})
            await asyncio.to_thread(SavedQueries(self._world.home.path).remove, name)
        except (ActRefused, QueryFault) as fault:
            return await self.form(visit, {}, line_of(fault))
        return Elsewhere("/audit")

    def asked(self, visit: Visit, given: Mapping[str, str]) -> Asked:
        """What is asked. Blocks. Raises ValueError with a sentence for whoever typed it, Turned."""
        with told_faults(SECONDS):
            return asked_of(visit.viewer, given, self._world.home, visit.now_us)

    def _kept(self, viewer: Viewer) -> dict[str, dict[str, str]]:
        with told_faults(SECONDS):
            return kept_for(viewer, self._world.home)


def _require_own_team(viewer: Viewer, asked: Asked) -> None:
    """Kept searches are everybody's, so who sees some teams keeps those that name one of them."""
    if not viewer.may_see_team(asked.conditions.get("team", "")):
        teams = ", ".join(sorted(viewer.teams or ()))
        raise ValueError(worded(f"team: name one of your teams: {teams}", "own_team", teams=teams))


def _results(asked: Asked, found: Found, shown: list[Shown]) -> dict[str, Any]:
    """For the template: records, sums, and what the forms beside them ask again."""
    listed, newest = shown[: len(found.lines)], shown[len(found.lines) :]
    groups = [(group, each.view) for (group, _), each in zip(found.groups, newest, strict=True)]
    return {
        "rows": rows(listed),
        "groups": groups if found.counted > 1 else [],
        "counted": found.counted,
        "counted_all": found.counted_all,
        "floods": found.floods,
        "notes": found.notes,
        "behind": found.behind,
        "exact": found.exact,
        "saved": asked.saved,
        "next": urlencode(found.exact | {"cursor": found.cursor}) if found.cursor else "",
        "floods_query": urlencode(_times(found.exact) | {"event": "refusals.sampled"}),
        "ranges": spans_text(found.spans),
        "spans": found.spans,
    }


def _times(exact: Mapping[str, str]) -> dict[str, str]:
    return {name: exact[name] for name in ("since", "until") if name in exact}
