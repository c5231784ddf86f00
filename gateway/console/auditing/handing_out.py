"""What leaves the console with the reviewer: an export in every format of the command, and proofs as a bundle.

An export is counted, recorded (`audit.exported`, lasting), then made whole in memory, within a bound: one that is cut
off would look like all there is. What is more than that is the command's, `corral audit export`, which has no bound.
"""

import asyncio
import io
from itertools import islice
from typing import Any, cast

from msgspec import structs

from gateway.admin.act import ActRefused
from gateway.audit.index.export_lines import ExportLines, pour
from gateway.audit.index.found_lines import FoundLine
from gateway.console.auditing.asking import Asked, filter_of, place_of, told
from gateway.console.auditing.bundling import bundle_of
from gateway.console.auditing.findings import one_record
from gateway.console.auditing.log_reading import LogReading, Reading
from gateway.console.auditing.search_pages import SearchPages
from gateway.console.page import Answer, Sent, Turned, Visit
from gateway.console.world import World
from policies.audit_record import Change
from policies.auditing.exported import Format
from policies.auditing.search_filter import Filter
from policies.worded import line_of

MOST = 10_000
MOST_BYTES = 64 * 1024 * 1024
SECONDS = 60.0
"""For an export."""
BUNDLE = "bundle"
TYPES = {
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "ocsf": "application/jsonl",
    "cef": "text/plain; charset=utf-8",
    "syslog": "text/plain; charset=utf-8",
    BUNDLE: "application/zip",
}
ENDINGS = {"ocsf": "ocsf.jsonl", BUNDLE: "zip"}


class HandingOut:
    """The answers that are downloads."""

    def __init__(self, world: World, reading: LogReading, search: SearchPages) -> None:
        self._world = world
        self._reading = reading
        self._search = search

    async def export(self, visit: Visit) -> Answer:
        """POST /audit/export: what fits the form's conditions, in the form's format."""
        form = visit.form.get("format", "")
        if form not in TYPES:
            raise Turned(400, "audit.no_format")
        opened = "opened" in visit.form and form != BUNDLE
        try:
            asked = await asyncio.to_thread(self._search.asked, visit, visit.form)
            wanted, said, count = await self._reading.ask(lambda each: _counted(each, asked, visit), SECONDS)
            if count > MOST:
                raise Turned(413, "audit.too_many", count=count, most=MOST)
            details: dict[str, Any] = {"hits": count, "format": form, "opened": opened, "bundle": form == BUNDLE}
            why = {"reason": visit.form.get("why", ""), "ticket": visit.form.get("ticket", "")}
            await self._world.perform(visit, "audit.export", said | details | why)
        except (ValueError, ActRefused) as fault:
            return await self._search.form(visit, visit.form, line_of(fault))
        if form == BUNDLE:
            lines = await self._reading.ask(lambda each: _lines(each, wanted), SECONDS)
            body = await bundle_of(self._reading, lines)
        else:
            body = await self._reading.ask(lambda each: _poured(each, wanted, form, opened=opened), SECONDS)
        return Sent(body, TYPES[form], f"corral-audit-{visit.request_id}.{ENDINGS.get(form, form)}")

    async def proof(self, visit: Visit) -> Answer:
        """GET /audit/proof/{item}: one record's exact line with its proof, as a bundle."""
        place = place_of(visit.item)
        lines = await self._reading.ask(lambda each: one_record(each, self._world.home, visit.viewer, place)[:1])
        change = Change(object=f"record:{visit.item}", details={"records": 1, "proof": True})
        await self._world.record(visit, "audit.viewed", change)
        body = await bundle_of(self._reading, lines)
        return Sent(body, TYPES[BUNDLE], f"corral-proof-{place[0]}-{place[1]}.zip")


def _counted(reading: Reading, asked: Asked, visit: Visit) -> tuple[Filter, dict[str, str], int]:
    """The question up to now, what the log is told of it, and how many records fit."""
    wanted = filter_of(asked, visit.viewer, visit.now_us, reading.records)
    until_us = visit.now_us if wanted.until_us is None else wanted.until_us
    wanted = structs.replace(wanted, until_us=until_us)
    count = ExportLines(reading.index, wanted, {}).count(reading.database)
    return wanted, told(asked, visit.viewer, reading.records), count


def _lines(reading: Reading, wanted: Filter) -> list[FoundLine]:
    """At most `MOST` and one more: the log may have grown since they were counted."""
    export = ExportLines(reading.index, wanted, {})
    export.count(reading.database)
    return list(islice(export.lines(reading.database), MOST + 1))


def _poured(reading: Reading, wanted: Filter, form: str, *, opened: bool) -> bytes:
    out = _Bounded()
    pour(iter(_lines(reading, wanted)), cast("Format", form), out, reading.records if opened else None, MOST)
    return out.getvalue()


class _Bounded(io.BytesIO):
    """Memory for an export, and no more than that."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > MOST_BYTES:
            raise Turned(413, "audit.too_large", most=MOST_BYTES >> 20)
        return super().write(data)
