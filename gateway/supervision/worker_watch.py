"""What the loader hears from one worker and says to it: that it serves, how busy it is, that it shall leave."""

from typing import Protocol

from engine import frames
from gateway.supervision.process_line import ProcessLine


class Watcher(Protocol):
    """Who hears of it, by the worker's name."""

    def loaded(self, name: str) -> None: ...
    def counted(self, name: str, busy_slots: int, started: int) -> None: ...


class WorkerWatch:
    """See the head of the module. The line is shared with whoever else looks at the worker."""

    def __init__(self, name: str, line: ProcessLine, watcher: Watcher) -> None:
        self._name = name
        self._watcher = watcher
        self._line = line
        line.join(self)

    def open(self) -> None:
        """Begin to connect."""
        self._line.open()

    async def close(self) -> None:
        """Let the connection go."""
        await self._line.close()

    def ask(self) -> None:
        """How busy it is; the answer comes between two of its steps."""
        self._line.ask()

    def drain(self) -> None:
        """It shall leave once what it runs is over. May be said again."""
        self._line.send(frames.Drain())

    # ---- the line's reports

    def greeted(self) -> None:
        """The worker serves."""
        self._watcher.loaded(self._name)

    def counted(self, counters: frames.Counters) -> None:
        """Its totals."""
        self._watcher.counted(self._name, counters.busy_slots, counters.started)

    def lost(self) -> None:
        """Its keeper knows more of its end."""
