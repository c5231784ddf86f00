"""Deletes texts whose time is up. Erasures by other processes are heard of in housekeeping, every second."""

import asyncio
from collections.abc import Callable

import structlog

from gateway.audit.content_store import MAX_CLEARED, ContentStore
from gateway.clock import Clock, unix_s

log = structlog.get_logger("corral.audit")

LOOK_S = 600.0
"""How much longer than its policy says a text may lie."""


async def keep_to_retention(
    store: ContentStore, clock: Clock, note: Callable[[str, dict[str, str | int | float | bool]], None]
) -> None:
    """Look for ever, at once at the start. A disk that refuses is said so, and asked again at the next look."""
    while True:
        try:
            while (texts := await asyncio.to_thread(store.erase_due, unix_s(clock))) > 0:
                note("content.expired", {"texts": texts})
                if texts < MAX_CLEARED:
                    break
        except OSError as fault:
            log.error("content_not_expired", cause=fault.strerror)
        await asyncio.sleep(LOOK_S)
