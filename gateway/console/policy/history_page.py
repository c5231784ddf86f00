"""The page of the policy's history: what was changed by whom and what was refused, as the log says it.

Who looks is recorded as the search that it is, before anything of the answer is shown. For viewers of all teams only:
a change of the policy is nobody's team's.
"""

from gateway.console.auditing.asking import cursor_of
from gateway.console.auditing.log_reading import LogReading, Reading
from gateway.console.page import Page, Visit
from gateway.console.policy.history_rows import HistoryRow, history_row
from gateway.console.world import World
from policies.auditing.conditions import Place, place_text, told_to_log
from policies.auditing.search_filter import read_filter
from policies.errors import NotAuthorized

MOST = 25
"""Records on a page; each has up to 28 lines."""
EVENTS = {"changed": "policy.changed", "refused": "policy.refused"}


class HistoryPage:
    """`/policy/history`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._log = LogReading(world.home, settle=world.settle)

    async def shown(self, visit: Visit) -> Page:
        """The newest changes, or refusals. Raises Turned, NotAuthorized, AuditUnavailable."""
        if visit.viewer.teams is not None:
            raise NotAuthorized("console_team_not_own")
        show = visit.query.get("show", "")
        show = show if show in EVENTS else "changed"
        conditions, before = {"event": EVENTS[show]}, cursor_of(visit)
        rows, more, notes = await self._log.ask(lambda reading: self._read(reading, conditions, before))
        await self._world.perform(visit, "audit.search", {**told_to_log(conditions, ()), "hits": len(rows)})
        data = {
            "rows": rows,
            "show": show,
            "shows": tuple(EVENTS),
            "cursor": rows[-1].place if more else "",
            "notes": notes,
        }
        return Page("policy/history.html", data)

    def _read(
        self, reading: Reading, conditions: dict[str, str], before: Place | None
    ) -> tuple[list[HistoryRow], bool, list[str]]:
        asked = read_filter(conditions, 0)
        hits = reading.hits(asked, MOST, before)
        lines = reading.lines(asked, hits, self._world.home)
        names = self._world.acts_alone
        shown = ((each, reading.records.shown(each.record, names=names)) for each in lines)
        rows = [history_row(place_text(each.chain, each.seq), record) for each, record in shown]
        return rows, len(hits) == MOST, list(reading.notes)
