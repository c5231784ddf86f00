"""Keeps one engine process running, whatever happens to it.

What happens next says the table of `engine.process_states`, how long it pauses `engine.restarts`, whether it is stuck
`engine.progress`; this carries it out.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from msgspec import structs

from engine.death import CANNOT_LOAD, LEFT_FOR_ANOTHER, Death, death_of, not_started
from engine.process_states import Act, Event, State, after
from engine.progress import Progress, after_look, is_stuck
from engine.restarts import (
    RestartHistory,
    after_exit,
    after_time_limit,
    ended_at_its_limit,
    pause_after_leaving_s,
)
from gateway.homes.process_notes import DeathNote, ProcessNote
from gateway.supervision.child_process import ChildProcess, Command, spawn
from gateway.supervision.oversight import Oversight
from gateway.supervision.process_signs import memory_kills
from gateway.supervision.upkeep import AlwaysUp, Upkeep

log = structlog.get_logger("corral.supervisor")

STOP_GRACE_S = 3.0  # a worker ends between two steps; a long step is not worth waiting for

Pause = Callable[[float], Awaitable[None]]


class EngineKeeper:
    """One engine process. `keep` runs until cancelled and leaves the process running; `stop` ends it.

    `upkeep` says when the process may run, `oversight` whether it gets on.
    """

    def __init__(
        self,
        command: Command,
        model_file: Path,
        pause: Pause = asyncio.sleep,
        upkeep: Upkeep | None = None,
        oversight: Oversight | None = None,
    ) -> None:
        self._command = command
        self._model_file = model_file
        self._pause = pause
        self._upkeep = upkeep or AlwaysUp()
        self._oversight = oversight or Oversight()
        self._oversight.on_loaded = lambda: self._happens("loaded")
        self._child: ChildProcess | None = None
        self._history = RestartHistory()
        self._delay_s = 0.0
        self._stuck_s: float | None = None
        self._stayed = False
        self._note = ProcessNote(process=command.name)

    @property
    def state(self) -> State:
        """What the table says it is in now."""
        return self._note.state

    async def keep(self) -> None:
        """Start the process whenever it may run, and again whenever it ends. Returns by being cancelled, or stopped."""
        self._oversight.open()
        act: Act = "ask"
        try:
            while act != "nothing":
                act = self._happens(await self._next(act))
        finally:
            await self._oversight.close()

    async def stop(self) -> None:
        """End the process if it runs."""
        self._happens("told_to_end")
        if self._child is not None:
            await self._child.stop(STOP_GRACE_S)
            self._happens("left")

    # ---- what is to be done, and what happens then

    async def _next(self, act: Act) -> Event:
        if act == "start":
            return await self._live()
        if act == "pause":
            await self._pause(self._delay_s)
            return "pause_over"
        await self._upkeep.may_start()
        return "wanted"

    def _happens(self, event: Event) -> Act:
        state, act = after(self._note.state, event)
        if state != self._note.state:
            pid = self._child.pid if self._child is not None else 0
            self._note = structs.replace(self._note, state=state, since_s=time.time(), pid=pid)
            if self._oversight.ledger is not None:
                self._oversight.ledger.changed(self._note)
        return act

    async def _live(self) -> Event:
        """One life of the process, to its end."""
        clock = asyncio.get_running_loop().time
        started_s, kills = clock(), memory_kills()
        self._stuck_s, self._stayed = None, False
        returncode: int | None = None
        fault = self._launch()
        if fault is None and self._child is not None:
            returncode = await self._attended(self._child)
        if returncode is None:
            death = not_started(fault or "")
        else:
            killed = None if kills is None else (memory_kills() or 0) - kills
            said = self._child.last_line if self._child is not None else ""
            death = death_of(
                returncode, memory_kills=killed, stuck_s=self._stuck_s, last_line=said, stayed=self._stayed
            )
        if self._upkeep.was_to_leave() or self.state == "ending":
            log.info("engine_process_left", process=self._command.name, why="told to leave", cause=death.cause)
            return "left"
        if returncode == LEFT_FOR_ANOTHER:  # it may have come and gone before the watch heard that it serves
            log.info("engine_process_left", process=self._command.name, why="other tenants' turn", cause=death.cause)
            self._delay_s = pause_after_leaving_s(clock() - started_s, self._oversight.rules)
            return "died" if self._delay_s else "left"
        if returncode == CANNOT_LOAD:  # no restart will help: somebody has to look at the file
            log.error("model_cannot_be_loaded", process=self._command.name, cause=death.cause)
        return self._after_death(death, started_s, clock(), at_its_limit=ended_at_its_limit(returncode or 0))

    def _launch(self) -> str | None:
        """Start the process; why it cannot be, None when it runs."""
        try:
            with self._model_file.open("rb"):
                pass  # readable now; the process opens it itself, behind its own wall
        except OSError as fault:
            return f"cannot read the model file {self._model_file}: {fault.strerror}"
        try:
            self._child = spawn(self._command)
        except OSError as fault:
            return f"cannot be started: {fault.strerror}"
        log.info("engine_process_started", process=self._command.name, pid=self._child.pid)
        self._happens("started")
        return None

    async def _attended(self, child: ChildProcess) -> int:
        """Its status, once it has ended; looked at meanwhile."""
        watching = asyncio.create_task(self._watch(child))
        try:
            return await child.wait()
        finally:
            watching.cancel()
            (ended,) = await asyncio.gather(watching, return_exceptions=True)
            if isinstance(ended, Exception):  # a bug there must not cost the process its keeper
                log.error("watch_failed", process=self._command.name, exc_info=ended)

    async def _watch(self, child: ChildProcess) -> None:
        """Kill it when it is stuck, or does not leave."""
        clock, oversight = asyncio.get_running_loop().time, self._oversight
        known, last_s = Progress(), clock()
        while not (
            is_stuck(known, bound_s=oversight.stuck_after_s, serves=self.state == "serving")
            or self._upkeep.is_overdue()
        ):
            await asyncio.sleep(oversight.look_s)
            now_s = clock()
            known = after_look(known, oversight.look(child.pid, now_s - last_s, serves=self.state == "serving"))
            last_s = now_s
        if self._happens("no_progress") == "kill":
            self._stuck_s, self._stayed = known.silent_s, self._upkeep.is_overdue()
            log.error("engine_process_stuck", process=child.name, pid=child.pid, silent_s=round(known.silent_s, 1))
            child.send(signal.SIGKILL)  # one that is stopped, or hangs in native code, hears no other

    def _after_death(self, death: Death, started_s: float, now_s: float, *, at_its_limit: bool) -> Event:
        jitter, rules = random.random(), self._oversight.rules  # noqa: S311  # spreads restarts, protects nothing
        if at_its_limit:
            restart = after_time_limit(self._history, jitter=jitter, rules=rules)
        else:
            restart = after_exit(self._history, started_s=started_s, now_s=now_s, jitter=jitter, rules=rules)
        self._history, self._delay_s = restart.history, restart.delay_s
        quarantined = self._history.quarantined
        self._report(death, now_s - started_s, quarantined=quarantined)
        self._upkeep.ended(death.cause, restart.delay_s, quarantined=quarantined)
        return "died_too_often" if quarantined else "died"

    def _report(self, death: Death, lived_s: float, *, quarantined: bool) -> None:
        event = "engine_process_quarantined" if quarantined else "engine_process_ended"
        write = log.error if quarantined else log.warning
        write(event, process=self._command.name, cause=death.cause, retry_in_s=round(self._delay_s, 2))
        deaths = {**self._note.deaths, death.kind: self._note.deaths.get(death.kind, 0) + 1}
        self._note = structs.replace(self._note, deaths=deaths, cause=death.cause)
        if self._oversight.ledger is not None:
            self._oversight.ledger.died(
                DeathNote(
                    number=0,
                    process=self._command.name,
                    pid=self._child.pid if self._child is not None else 0,
                    kind=death.kind,
                    cause=death.cause,
                    at_s=time.time(),
                    lived_s=round(lived_s, 3),
                    quarantined=quarantined,
                )
            )
