"""Keeps one engine process running, by the rules of `engine.restarts`, whatever happens to it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from engine.restarts import RestartHistory, after_exit, after_time_limit, ended_at_its_limit, exit_cause
from gateway.supervision.child_process import ChildProcess, Command, spawn

log = structlog.get_logger("corral.supervisor")

STOP_GRACE_S = 3.0  # a worker ends between two steps; a long step is not worth waiting for

Pause = Callable[[float], Awaitable[None]]


class EngineKeeper:
    """One engine process. `keep` runs until cancelled and leaves the process running; `stop` ends it."""

    def __init__(self, command: Command, model_file: Path, pause: Pause = asyncio.sleep) -> None:
        self._command = command
        self._model_file = model_file
        self._pause = pause
        self._child: ChildProcess | None = None

    async def keep(self) -> None:
        """Start the process, and again whenever it ends. Returns only by being cancelled."""
        clock = asyncio.get_running_loop().time
        history = RestartHistory()
        while True:
            started_s = clock()
            cause, at_its_limit = await self._run()
            jitter = random.random()  # noqa: S311  # spreads restarts, protects nothing
            if at_its_limit:
                restart = after_time_limit(history, jitter=jitter)
            else:
                restart = after_exit(history, started_s=started_s, now_s=clock(), jitter=jitter)
            history = restart.history
            self._report(cause, restart.delay_s, quarantined=history.quarantined)
            await self._pause(restart.delay_s)

    async def stop(self) -> None:
        """End the process if it runs."""
        if self._child is not None:
            await self._child.stop(STOP_GRACE_S)

    async def _run(self) -> tuple[str, bool]:
        """One life of the process: why it ended, and whether that was its own time limit."""
        try:
            with self._model_file.open("rb"):
                pass  # readable now; the process opens it itself, behind its own wall
        except OSError as fault:
            return f"cannot read the model file {self._model_file}: {fault.strerror}", False
        try:
            self._child = spawn(self._command)
        except OSError as fault:
            return f"cannot be started: {fault.strerror}", False
        log.info("engine_process_started", process=self._command.name, pid=self._child.pid)
        returncode = await self._child.wait()
        return exit_cause(returncode), ended_at_its_limit(returncode)

    def _report(self, cause: str, delay_s: float, *, quarantined: bool) -> None:
        event = "engine_process_quarantined" if quarantined else "engine_process_ended"
        write = log.error if quarantined else log.warning
        write(event, process=self._command.name, cause=cause, retry_in_s=round(delay_s, 2))
