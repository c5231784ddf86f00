"""The pages of the part "overview" of the console: what runs, who waits, what was refused, what ends soon."""

import asyncio

from msgspec import json

from gateway.audit.anchor_words import NOT_ANCHORED, home_words
from gateway.console.overview_figures import (
    endings_of,
    figure_texts,
    figures_of,
    key_set_rows,
    live_document,
    refusal_rows,
    rows_of,
    teams_of,
)
from gateway.console.page import Answer, ConsoleRoute, Page, Sent, Visit
from gateway.console.world import World
from gateway.policy_in_force import UNKNOWN_AUTHOR
from policies.console.hour_rows import hour_rows
from policies.console.viewer import EVERY_ROLE


def routes(world: World) -> tuple[ConsoleRoute, ...]:
    """The part's pages."""

    async def overview(visit: Visit) -> Answer:
        return Page("overview/overview.html", await _shown(world, visit))

    async def live(visit: Visit) -> Answer:
        document = live_document(
            visit.viewer, world.gate.dispatcher.view(), world.hour.shown(visit.viewer), visit.now_us / 1e6
        )
        return Sent(json.encode(document), "application/json; charset=utf-8")

    return (
        ConsoleRoute(method="GET", path="/", roles=EVERY_ROLE, answer=overview, menu="overview.menu"),
        ConsoleRoute(method="GET", path="/overview/live", roles=EVERY_ROLE, answer=live),
    )


async def _shown(world: World, visit: Visit) -> dict[str, object]:
    viewer, now_s = visit.viewer, visit.now_us / 1e6
    queue, hour = world.gate.dispatcher.view(), world.hour.shown(viewer)
    whole = viewer.teams is None
    status = await world.perform(visit, "status", {})
    anchors = await asyncio.to_thread(home_words, world.home.audit)
    return {
        "whole": whole,
        "status": status,
        "signed": status["policy"]["author"] != UNKNOWN_AUTHOR,
        "anchored": not str(anchors).startswith(NOT_ANCHORED),
        "anchors": anchors,
        "figures": figure_texts(figures_of(viewer, queue, hour)),
        "teams": rows_of(teams_of(viewer, queue)),
        "targets": sorted(queue.targets, key=lambda each: (each.ready, each.id)) if whole else [],
        "rows": hour_rows(hour),
        "refused": refusal_rows(hour),
        "endings": endings_of(viewer, world.endings, now_s),
        "key_sets": key_set_rows(viewer, world.endings),
        "now_s": now_s,
    }
