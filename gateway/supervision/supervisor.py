"""The supervisor: starts the engine processes and the gateway, restarts them, and ends them in order.

It knows neither HTTP nor policy. Signals: SIGTERM and SIGINT drain the gateway, then end the engine
processes (a second one ends the gateway at once); SIGHUP replaces the gateway by a new one, if the files that
it would read may be started with. A child that the supervisor's own death would orphan has asked the kernel to
be killed with it (PR_SET_PDEATHSIG).
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from gateway.supervision.engine_keeper import EngineKeeper
from gateway.supervision.gateway_group import Keeper
from gateway.supervision.loading import keep_loading

log = structlog.get_logger("corral.supervisor")


class Supervisor:
    """One `corral serve`. The gateway starts at once and is not ready until a worker has loaded.

    `may_replace` is asked in a thread before the gateway is replaced, and says in the log why not. `load` runs beside
    the keepers and decides when workers run.
    """

    def __init__(
        self,
        engines: Sequence[EngineKeeper],
        gateway: Keeper,
        may_replace: Callable[[], bool],
        load: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._engines = engines
        self._gateway = gateway
        self._may_replace = may_replace
        self._load = load
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Supervise until told to stop (0), or until no gateway (its status) or no loading (1) can be kept."""
        self._listen_for_signals()
        for engine in self._engines:
            self._begin(engine.keep())
        keeping = [asyncio.create_task(self._gateway.keep())]
        if self._load is not None:
            keeping.append(asyncio.create_task(keep_loading(self._load)))
        told = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({*keeping, told}, return_when=asyncio.FIRST_COMPLETED)
            return next((each.result() for each in keeping if each.done()), 0)
        finally:
            await self._end(*keeping, told)

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_replace)

    def _told_to_stop(self) -> None:
        again = "running answers are cut" if self._stop.is_set() else "once more cuts the answers that still run"
        log.info("stopping", note=again)
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _told_to_replace(self) -> None:
        if not self._stop.is_set():
            self._begin(self._replace())

    async def _replace(self) -> None:
        if await asyncio.to_thread(self._may_replace) and not self._stop.is_set():
            await self._gateway.replace()

    async def _end(self, *waiting: "asyncio.Task[int] | asyncio.Task[bool]") -> None:
        """Nothing is restarted any more; gateways drain while workers still run; then workers go."""
        tasks = [*self._tasks, *waiting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._gateway.stop(self._hurry)
        await asyncio.gather(*(engine.stop() for engine in self._engines))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            # Its process goes unattended, the rest is kept: a bug in one keeper must not stop the service.
            log.error("supervision_failed", error=type(bug).__name__, exc_info=bug)
