"""Keeps a gateway process accepting, and replaces it by a new one without a refused connection.

Rules:

- The first gateway must become ready. One that ends before has a fault that a restart does not cure: its
  status is passed on.
- Status 2 (bad configuration) is always passed on. Any other end is followed by a restart with back-off
  (`engine.restarts`); where an engine process would be quarantined, the keeper gives up with status 1,
  because without a gateway there is nothing to supervise.
- A replacement is started beside the old gateway, on the same listening sockets. Once it is ready the old
  one drains; one that does not become ready is ended and the old one goes on.
"""

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any

import structlog

from engine.death import exit_cause
from engine.restarts import RestartHistory, after_exit
from gateway.supervision.child_process import ChildProcess, Command, spawn
from gateway.supervision.engine_keeper import Pause

log = structlog.get_logger("corral.supervisor")

BAD_CONFIGURATION = 2
READY_WITHIN_S = 60.0  # a replacement that takes longer is stuck; the old gateway serves meanwhile
HURRIED_GRACE_S = 2.0

MakeCommand = Callable[[int], Command]
"""Makes the gateway's command from the descriptor on which it shall say that it is ready."""


class GatewayProcess:
    """One gateway: its process, when it started, and whether it said that it is ready."""

    def __init__(self, make_command: MakeCommand) -> None:
        self._loop = asyncio.get_running_loop()
        self.started_s = self._loop.time()
        self.ready: asyncio.Future[bool] = self._loop.create_future()
        self._ready_fd, write_fd = os.pipe()
        try:
            self.child: ChildProcess = spawn(make_command(write_fd))
        except OSError:
            os.close(self._ready_fd)
            raise
        finally:
            os.close(write_fd)
        self._loop.add_reader(self._ready_fd, self._read)

    def _read(self) -> None:
        """`ready` and a line end, or nothing: then the gateway ended before it was."""
        said = os.read(self._ready_fd, 64)
        self._loop.remove_reader(self._ready_fd)
        os.close(self._ready_fd)
        if not self.ready.done():
            self.ready.set_result(said.startswith(b"ready"))


class GatewayKeeper:
    """See the head of the module. `drain_s` is how long a gateway that was told to stop may take."""

    def __init__(
        self,
        make_command: MakeCommand,
        *,
        drain_s: float,
        on_ready: Callable[[], None],
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._make_command = make_command
        self._drain_s = drain_s
        self._on_ready = on_ready
        self._pause = pause
        self._serving: GatewayProcess | None = None
        self._running: set[GatewayProcess] = set()
        self._replacing = False

    async def keep(self) -> int:
        """Keep a gateway serving. Returns the exit status when that cannot be done."""
        try:
            serving = self._launch()
            if not await serving.ready:
                return await self._did_not_start(serving)
            self._serving = serving
            self._on_ready()
            return await self._keep_serving()
        except OSError as fault:
            log.error("gateway_not_started", cause=f"cannot be started: {fault.strerror}")
            return 1

    async def replace(self) -> None:
        """Put a new gateway in the place of the serving one; does nothing while that is under way."""
        if self._replacing or self._serving is None:
            return
        self._replacing = True
        try:
            await self._replace()
        finally:
            self._replacing = False

    async def stop(self, hurry: asyncio.Event) -> None:
        """End every gateway: SIGTERM, the drain time (cut short by `hurry`), then SIGKILL."""
        running = [gateway.child for gateway in self._running]
        ended = asyncio.gather(*(child.stop(self._drain_s) for child in running))
        hurried = asyncio.create_task(hurry.wait())
        either: set[asyncio.Future[Any]] = {asyncio.ensure_future(ended), hurried}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if hurry.is_set():
            await asyncio.gather(*(child.stop(HURRIED_GRACE_S, hurried=True) for child in running))
        hurried.cancel()
        await ended

    # ---- inside

    async def _keep_serving(self) -> int:
        history = RestartHistory()
        while (serving := self._serving) is not None:
            returncode = await serving.child.wait()
            if self._serving is not serving:
                continue  # replaced: it was told to end
            now_s = asyncio.get_running_loop().time()
            jitter = random.random()  # noqa: S311  # spreads restarts, protects nothing
            restart = after_exit(history, started_s=serving.started_s, now_s=now_s, jitter=jitter)
            history = restart.history
            log.error("gateway_ended", cause=exit_cause(returncode), retry_in_s=round(restart.delay_s, 2))
            if returncode == BAD_CONFIGURATION or history.quarantined:
                return _passed_on(returncode)
            await self._pause(restart.delay_s)
            if self._serving is serving:
                self._serving = self._launch()
        return 1

    async def _did_not_start(self, gateway: GatewayProcess) -> int:
        returncode = await gateway.child.wait()
        log.error("gateway_not_started", cause=exit_cause(returncode))
        return _passed_on(returncode)

    def _launch(self) -> GatewayProcess:
        gateway = GatewayProcess(self._make_command)
        self._running = {known for known in self._running if known.child.running} | {gateway}
        log.info("gateway_started", pid=gateway.child.pid)
        return gateway

    async def _replace(self) -> None:
        try:
            fresh = self._launch()
        except OSError as fault:
            log.error("gateway_not_replaced", cause=f"cannot be started: {fault.strerror}")
            return
        if not await self._became_ready(fresh):
            await fresh.child.stop(HURRIED_GRACE_S)
            log.error("gateway_not_replaced", cause=exit_cause(await fresh.child.wait()))
            return
        old, self._serving = self._serving, fresh
        log.info("gateway_replaced", pid=fresh.child.pid)
        if old is not None:
            await old.child.stop(self._drain_s)

    async def _became_ready(self, gateway: GatewayProcess) -> bool:
        try:
            return await asyncio.wait_for(asyncio.shield(gateway.ready), READY_WITHIN_S)
        except TimeoutError:
            return False


def _passed_on(returncode: int) -> int:
    return BAD_CONFIGURATION if returncode == BAD_CONFIGURATION else 1
