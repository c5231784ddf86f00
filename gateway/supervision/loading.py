"""Keeps the loader going: without it no worker is started or unloaded again, however well all else goes on.

Rules: a loader that fails is a bug, told with its trace, and begun again as a process that died would be
(`engine.restarts`); where such a process would be put into quarantine, `corral serve` ends with status 1, so that
whoever supervises it hears.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from engine.restarts import RestartHistory, after_exit
from gateway.supervision.engine_keeper import Pause

log = structlog.get_logger("corral.supervisor")

Load = Callable[[], Coroutine[Any, Any, None]]


async def keep_loading(load: Load, pause: Pause = asyncio.sleep) -> int:
    """Run `load` again and again. Returns the exit status once it has failed too often."""
    history, clock = RestartHistory(), asyncio.get_running_loop().time
    while True:
        started_s = clock()
        try:
            await load()
            fault: Exception = RuntimeError("it returned")
        except Exception as raised:  # noqa: BLE001 (it supervises: whatever the bug is, loading must not stop unheard)
            fault = raised
        jitter = random.random()  # noqa: S311  # spreads restarts, protects nothing
        restart = after_exit(history, started_s=started_s, now_s=clock(), jitter=jitter)
        history = restart.history
        if history.quarantined:
            log.critical("loading_given_up", error=type(fault).__name__, remedy="start 'corral serve' again")
            return 1
        retry_s = round(restart.delay_s, 2)
        log.error("loading_failed", error=type(fault).__name__, retry_in_s=retry_s, exc_info=fault)
        await pause(restart.delay_s)
