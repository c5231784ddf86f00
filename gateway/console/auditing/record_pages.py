"""One record, one request, one key: all that is known of it on one page. Each look is recorded before it is shown."""

import asyncio
from typing import Any
from urllib.parse import quote, urlencode

from gateway.audit.index.found_lines import FoundLine
from gateway.console.auditing.asking import place_of, scope_of
from gateway.console.auditing.findings import Shown, key_story, one_record, one_request, opened_views, strangers
from gateway.console.auditing.log_reading import LogReading
from gateway.console.auditing.proof_state import Verifier, chain_state
from gateway.console.auditing.rows import explained, row, rows
from gateway.console.page import Answer, Page, Turned, Visit
from gateway.console.world import World
from policies.audit_record import Change
from policies.auditing.conditions import as_written, told_to_log
from policies.auditing.record_view import differences, facts_beside, part
from policies.auditing.search_filter import read_time_us
from policies.worded import line_of

PARTS = ("actor", "src", "action", "decision", "params", "result", "content")
"""Parts of a record that its page shows field by field; what it changed stands by itself."""
KEY_SPANS = ("24h", "7d", "30d", "365d")
NEW_SPANS = ("24h", "7d", "30d")
DEFAULT_KEY_SPAN = "30d"
DEFAULT_NEW_SPAN = "24h"
NEW_ADDRESSES = "new-addresses"
MAX_ITEM = 200


class RecordPages:
    """What answers below /audit for one thing."""

    def __init__(self, world: World, reading: LogReading, verifier: Verifier) -> None:
        self._world = world
        self._reading = reading
        self._verifier = verifier

    async def record(self, visit: Visit) -> Answer:
        """GET /audit/record/{item}: a record by CHAIN:SEQ, with the other stages of its request."""
        place = place_of(visit.item)
        lines = await self._reading.ask(lambda each: one_record(each, self._world.home, visit.viewer, place))
        await self._viewed(visit, f"record:{visit.item}", lines)
        shown = await asyncio.to_thread(opened_views, self._world, lines)
        state = await asyncio.to_thread(chain_state, self._world.home, place[0])
        return Page("audit/record.html", _told(shown[0]) | {
            "explained": explained,
            "names_hidden": not self._world.acts_alone,
            "stages": list(map(row, _by_time(shown))) if shown[0].view.request else [],
            "state": state,
            "last": self._verifier.last,
            "verified": self._verifier.last.chains.get(place[0]) if self._verifier.last else None,
        })  # fmt: skip

    async def request(self, visit: Visit) -> Answer:
        """GET /audit/request/{item}: all stages of a request as one."""
        item = visit.item[:MAX_ITEM]
        lines = await self._reading.ask(lambda each: one_request(each, self._world.home, visit.viewer, item))
        if not lines:
            raise Turned(404, "audit.no_request")
        await self._viewed(visit, f"request:{item}", lines)
        shown = await asyncio.to_thread(opened_views, self._world, lines)
        who = next((each.view for each in shown if each.view.key or each.view.who), shown[0].view)
        parts = [(_place(each), _parts(each)) for each in shown]
        return Page("audit/request.html", {
            "request": item,
            "who": who,
            "stages": list(map(row, shown)),
            "parts": parts,
            "explained": explained,
            "names_hidden": not self._world.acts_alone,
        })  # fmt: skip

    async def key(self, visit: Visit) -> Answer:
        """GET /audit/key/{item}: what a key did, from where, and what was done with it."""
        try:
            asked = as_written({"key": visit.item, "since": visit.query.get("since") or DEFAULT_KEY_SPAN})
            since_us = read_time_us(asked["since"], visit.now_us)
        except (ValueError, KeyError) as fault:
            raise Turned(400, "", line=line_of(fault)) from None
        key = asked["key"]
        story = await self._reading.ask(lambda each: key_story(each, self._world.home, visit.viewer, key, since_us))
        told: dict[str, Any] = told_to_log(asked, (), scope_of(visit.viewer, "key")) | {"hits": len(story.lines)}
        await self._world.perform(visit, "audit.search", told)
        lines = [*story.lines, *(line for _, line in story.groups)]
        shown = await asyncio.to_thread(opened_views, self._world, lines)
        newest = shown[len(story.lines) :]
        return Page("audit/key.html", {
            "key": key,
            "since": asked["since"],
            "spans": KEY_SPANS,
            "addresses": story.addresses,
            "groups": [(group, each.view) for (group, _), each in zip(story.groups, newest, strict=True)],
            "rows": rows(shown[: len(story.lines)]),
            "explained": explained,
            "names_hidden": not self._world.acts_alone,
            "counted": story.counted,
            "counted_all": story.counted_all,
            "more": urlencode({"key": key, "since": asked["since"]}),
        })  # fmt: skip

    async def new_addresses(self, visit: Visit) -> Answer:
        """GET /audit/addresses: keys that were used from where they never were before."""
        since = visit.query.get("since") or DEFAULT_NEW_SPAN
        try:
            since_us = read_time_us(since[:64], visit.now_us)
        except ValueError as fault:
            raise Turned(400, "", line=line_of(fault)) from None
        found, complete = await self._reading.ask(lambda each: strangers(each, visit.viewer, since_us, visit.now_us))
        told: dict[str, Any] = told_to_log({"since": since}, (), scope_of(visit.viewer, NEW_ADDRESSES)) | {
            "hits": len(found)
        }
        await self._world.perform(visit, "audit.search", told)
        return Page("audit/addresses.html", {
            "since": since,
            "spans": NEW_SPANS,
            "found": [(each, urlencode({"key": each.key, "address": each.address})) for each in found],
            "complete": complete,
        })  # fmt: skip

    async def _viewed(self, visit: Visit, what: str, lines: list[FoundLine]) -> None:
        """The look is lasting in the log when this returns."""
        await self._world.record(visit, "audit.viewed", Change(object=what, details={"records": len(lines)}))


def _told(shown: Shown) -> dict[str, Any]:
    """A record for its template; `more` are searches for what stands beside it."""
    view = shown.view
    beside = {"team": view.team, "actor": view.pseudonym.partition(" ")[0], "address": view.address}
    return {
        "view": view,
        "place": _place(shown),
        "parts": _parts(shown),
        "differences": differences(shown.record),
        "facts": facts_beside(shown.record),
        "line": shown.line,
        "more": {name: urlencode({name: value}) if value else "" for name, value in beside.items()},
    }


def _parts(shown: Shown) -> list[tuple[str, list[tuple[str, str]]]]:
    """The record's parts with their fields as text, those that are there."""
    found = ((name, part(shown.record, name)) for name in PARTS)
    return [(name, [(field, str(value)) for field, value in fields.items()]) for name, fields in found if fields]


def _by_time(shown: list[Shown]) -> list[Shown]:
    return sorted(shown, key=lambda each: (each.view.at, each.view.seq))


def _place(shown: Shown) -> str:
    """The record's place for an address."""
    return quote(shown.view.place, safe="")
