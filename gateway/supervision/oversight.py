"""How a keeper sees that its process gets on, and who hears of its states.

A worker is asked for its totals over the supervisor's connection, at every look; a preparer is only looked
at from outside, since it has a time limit of its own for each question. Where no connection has been greeted nobody is
judged by silence: the process may still load, or have no place for one more connection. One that a signal or a debugger
has stopped is seen in any case.
"""

from collections.abc import Callable

import structlog

from engine import frames
from engine.plan import ProcessPlan
from engine.progress import Look, Totals
from engine.restarts import RULES, RestartRules
from gateway.supervision.process_ledger import ProcessLedger
from gateway.supervision.process_line import ProcessLine
from gateway.supervision.process_signs import signs_of

log = structlog.get_logger("corral.supervisor")

LONGEST_LOOK_S = 5.0
LOOKS = 4
"""In the shortest time after which a process may be given up."""
STUCK_AFTER_S = 30.0
STOPPED_PREPARER_S = 1.0
"""A preparer is judged only while a signal or a debugger has stopped it: all who ask for its model wait meanwhile."""
IDLE = Totals(0, is_busy=False)


class Oversight:
    """One process's; with the defaults nobody looks and nobody hears. `open` before the first look. `line` is
    shared with others that listen to the process."""

    def __init__(
        self,
        process: ProcessPlan | None = None,
        *,
        stuck_after_s: float = STUCK_AFTER_S,
        ledger: ProcessLedger | None = None,
        rules: RestartRules | None = None,
        line: ProcessLine | None = None,
    ) -> None:
        self.stuck_after_s = stuck_after_s
        self.look_s = min(LONGEST_LOOK_S, stuck_after_s / LOOKS)
        self.ledger = ledger
        self.rules = rules or RULES
        self.on_loaded: Callable[[], object] = bool
        self._is_worker = process is not None and process.role != "preparer"
        self._totals: Totals | None = None
        self._line = line or (ProcessLine(process) if process is not None else None)
        if self._line is not None:
            self._line.join(self)

    def open(self) -> None:
        """Begin to connect; while no process runs, in its socket's backlog."""
        if self._line is not None:
            self._line.open()

    async def close(self) -> None:
        """Let the connection go."""
        if self._line is not None:
            await self._line.close()

    def look(self, pid: int, elapsed_s: float, *, serves: bool) -> Look:
        """What is to be seen now, `elapsed_s` after the last look; and the next question is asked."""
        signs = signs_of(pid)
        totals, self._totals = self._totals, None
        is_asked = self._is_worker and self._line is not None and self._line.is_greeted
        if (signs is None or not signs.is_stopped) and not is_asked:
            return Look(elapsed_s=elapsed_s, totals=IDLE, serves=serves)
        if self._line is not None:
            self._line.ask()
        return Look(elapsed_s=elapsed_s, totals=totals, work=signs.work if signs else None, serves=serves)

    # ---- the line's reports

    def greeted(self) -> None:
        """It serves."""
        self.on_loaded()

    def counted(self, counters: frames.Counters) -> None:
        """Its totals, whoever asked for them."""
        self._totals = Totals(counters.steps, is_busy=counters.busy_slots > 0)

    def lost(self) -> None:
        """The process itself is watched by its keeper."""
        self._totals = None
