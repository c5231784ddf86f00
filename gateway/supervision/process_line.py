"""The supervisor's one connection to one engine process, for all of its parts that listen or ask.

A worker has room for sixteen connections, and answers each question between two of its steps: so there is one
connection, open while anybody wants it, and one question at a time whoever asks; all hear the answer.
"""

import contextlib
from typing import Any, Protocol

from engine import frames
from engine.frames import Frame, PreparerHello, WorkerHello
from engine.links.channel import Channel, ChannelClosed
from engine.plan import ProcessPlan

QUIET = frames.Hello(version=frames.PROTOCOL_VERSION, steps=False)


class LineListener(Protocol):
    """Who hears of the process; called on the event loop, must not block."""

    def greeted(self) -> None: ...
    def counted(self, counters: frames.Counters) -> None: ...
    def lost(self) -> None: ...


class ProcessLine:
    """See the head of the module. Connects again and again: while no process runs, in its socket's backlog."""

    def __init__(self, process: ProcessPlan) -> None:
        self._is_worker = process.role != "preparer"
        answers: Any = frames.WorkerAnswer if self._is_worker else frames.PreparerAnswer
        self._channel = Channel(process.socket, answers, self, hello=QUIET)
        self._listeners: list[LineListener] = []
        self._users = 0
        self._has_asked = self.is_greeted = False

    def join(self, listener: LineListener) -> None:
        """`listener` hears of all that comes from now on."""
        self._listeners.append(listener)

    def open(self) -> None:
        """One more wants the connection."""
        self._users += 1
        if self._users == 1:
            self._channel.open()

    async def close(self) -> None:
        """One fewer wants it; the last one's going ends it."""
        self._users -= 1
        if not self._users:
            await self._channel.close()

    def ask(self) -> None:
        """Ask a worker for its totals, unless a question is under way: who does not read would be sent ever more."""
        if self._is_worker and self.is_greeted and not self._has_asked:
            self._has_asked = self.send(frames.AskCounters())

    def send(self, frame: Frame) -> bool:
        """Whether it could be sent."""
        with contextlib.suppress(ChannelClosed):
            self._channel.send(frame)
            return True
        return False

    # ---- the channel's reports

    def greeted(self, hello: object) -> None:
        """It serves. What else a process says before its hello, the channel refuses."""
        if isinstance(hello, WorkerHello | PreparerHello):
            self._has_asked, self.is_greeted = False, True
            for each in self._listeners:
                each.greeted()

    def received(self, frame: object) -> None:
        """Only a worker's totals matter here."""
        if isinstance(frame, frames.Counters):
            self._has_asked = False
            for each in self._listeners:
                each.counted(frame)

    def lost(self, _reason: str) -> None:
        """The process itself is watched by its keeper."""
        self._has_asked = self.is_greeted = False
        for each in self._listeners:
            each.lost()
