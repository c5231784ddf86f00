"""How a keeper sees that its process gets on, and who hears of its states.

A worker is asked for its totals over a connection of the supervisor's own, at every look; a preparer is only looked
at from outside, since it has a time limit of its own for each question. Where no connection has been greeted nobody is
judged by silence: the process may still load, or have no place for one more connection. One that a signal or a debugger
has stopped is seen in any case.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import structlog

from engine import frames
from engine.frames import PreparerHello, WorkerHello
from engine.links.channel import Channel, ChannelClosed
from engine.plan import ProcessPlan
from engine.progress import Look, Totals
from engine.restarts import RULES, RestartRules
from gateway.supervision.process_ledger import ProcessLedger
from gateway.supervision.process_signs import signs_of

log = structlog.get_logger("corral.supervisor")

LONGEST_LOOK_S = 5.0
LOOKS = 4
"""In the shortest time after which a process may be given up."""
STUCK_AFTER_S = 30.0
IDLE = Totals(0, is_busy=False)


class Oversight:
    """One process's; with the defaults nobody looks and nobody hears. `open` before the first look."""

    def __init__(
        self,
        process: ProcessPlan | None = None,
        *,
        stuck_after_s: float = STUCK_AFTER_S,
        ledger: ProcessLedger | None = None,
        rules: RestartRules | None = None,
    ) -> None:
        self.stuck_after_s = stuck_after_s
        self.look_s = min(LONGEST_LOOK_S, stuck_after_s / LOOKS)
        self.ledger = ledger
        self.rules = rules or RULES
        self.on_loaded: Callable[[], object] = bool
        self._is_worker = process is not None and process.role != "preparer"
        self._totals: Totals | None = None
        self._has_asked = self._is_greeted = False
        answers: Any = frames.WorkerAnswer if self._is_worker else frames.PreparerAnswer
        self._channel = Channel(process.socket, answers, self, steps=False) if process is not None else None

    def open(self) -> None:
        """Begin to connect; while no process runs, in its socket's backlog."""
        if self._channel is not None:
            self._channel.open()

    async def close(self) -> None:
        """End the connection."""
        if self._channel is not None:
            await self._channel.close()

    def look(self, pid: int, elapsed_s: float, *, serves: bool) -> Look:
        """What is to be seen now, `elapsed_s` after the last look; and the next question is asked."""
        signs = signs_of(pid)
        totals, self._totals = self._totals, None
        if (signs is None or not signs.is_stopped) and not (self._is_greeted and self._is_worker):
            return Look(elapsed_s=elapsed_s, totals=IDLE, serves=serves)
        self._ask()
        return Look(elapsed_s=elapsed_s, totals=totals, work=signs.work if signs else None, serves=serves)

    # ---- the channel's reports

    def greeted(self, hello: object) -> None:
        """It serves."""
        if isinstance(hello, WorkerHello | PreparerHello):
            self._has_asked, self._is_greeted = False, True
            self.on_loaded()

    def received(self, frame: object) -> None:
        """Only a worker's totals matter here."""
        if isinstance(frame, frames.Counters):
            self._has_asked = False
            self._totals = Totals(frame.steps, is_busy=frame.busy_slots > 0)

    def lost(self, reason: str) -> None:  # noqa: ARG002 (as a channel calls it)
        """The process itself is watched by its keeper."""
        self._is_greeted = False

    def _ask(self) -> None:
        """One question at a time: a process that does not read would be sent ever more of them."""
        if self._channel is None or not (self._is_worker and self._is_greeted) or self._has_asked:
            return
        with contextlib.suppress(ChannelClosed):
            self._channel.send(frames.AskCounters())
            self._has_asked = True
