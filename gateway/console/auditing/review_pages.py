"""The sign-off of a review, and how far the log is proven: what an auditor does when the reading is done."""

import asyncio
from typing import Any
from urllib.parse import urlencode

from gateway.admin.act import ActRefused
from gateway.console.auditing.asking import Asked, filter_of, told
from gateway.console.auditing.findings import counted_in
from gateway.console.auditing.log_reading import SECONDS, LogReading, Reading, told_faults
from gateway.console.auditing.proof_state import ChainState, Verifier, chain_states
from gateway.console.auditing.search_pages import SearchPages
from gateway.console.page import Answer, Elsewhere, Page, Visit
from gateway.console.world import World
from policies.auditing.review import Span, read_spans
from policies.worded import line_of

REVIEWS = urlencode({"event": "audit.reviewed"})


class ReviewPages:
    """What answers under /audit/review, /audit/log and /audit/verify."""

    def __init__(self, world: World, reading: LogReading, search: SearchPages, verifier: Verifier) -> None:
        self._world = world
        self._reading = reading
        self._search = search
        self._verifier = verifier

    async def sign(self, visit: Visit) -> Answer:
        """POST /audit/review: sign off what the form names. The route is the auditor's alone."""
        ranges = visit.form.get("ranges", "")
        try:
            spans = read_spans(ranges)
            asked = await asyncio.to_thread(self._search.asked, visit, visit.form)
            said, hits = await self._reading.ask(lambda each: _counted(each, asked, visit, spans))
            details: dict[str, Any] = {"hits": hits, "ranges": ranges, "ticket": visit.form.get("ticket", "")}
            await self._world.perform(visit, "audit.review", said | details | {"reason": visit.form.get("remark", "")})
        except (ValueError, ActRefused) as fault:
            return await self._search.form(visit, visit.form, line_of(fault))
        return Elsewhere(f"/audit?{REVIEWS}")

    async def log(self, _visit: Visit) -> Answer:
        """GET /audit/log: each chain's checkpoint, anchors and last verification."""
        states = await asyncio.to_thread(self._states)
        data = {"states": states, "last": self._verifier.last, "running": self._verifier.running}
        return Page("audit/log.html", data)

    async def verify(self, _visit: Visit) -> Answer:
        """POST /audit/verify: begin to verify the whole log, unless that is under way."""
        self._verifier.start(lambda: self._world.clock.unix_ns() // 1_000)
        return Elsewhere("/audit/log")

    def _states(self) -> list[ChainState]:
        with told_faults(SECONDS):
            return chain_states(self._world.home)


def _counted(reading: Reading, asked: Asked, visit: Visit, spans: tuple[Span, ...]) -> tuple[dict[str, str], int]:
    """What the log is told of the question, and how many records of the stretches fit it."""
    wanted = filter_of(asked, visit.viewer, visit.now_us, reading.records)
    return told(asked, visit.viewer, reading.records), counted_in(reading, wanted, spans)
