"""The supervisor's own connection to one worker: hears that it serves, asks how busy it is, tells it to leave."""

import contextlib
from typing import Protocol

from engine import frames
from engine.frames import Frame
from engine.links.channel import Channel, ChannelClosed


class Watcher(Protocol):
    """Who hears of it, by the worker's name."""

    def loaded(self, name: str) -> None: ...
    def counted(self, name: str, busy_slots: int, started: int) -> None: ...


class WorkerWatch:
    """See the head of the module. Connects again and again: while no process runs, in the socket's backlog."""

    def __init__(self, name: str, path: str, watcher: Watcher) -> None:
        self._name = name
        self._watcher = watcher
        self._channel = Channel(path, frames.WorkerAnswer, self, steps=False)

    def open(self) -> None:
        """Begin to connect."""
        self._channel.open()

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()

    def ask(self) -> None:
        """How busy it is; the answer comes between two of its steps."""
        self._send(frames.AskCounters())

    def drain(self) -> None:
        """It shall leave once what it runs is over. May be said again."""
        self._send(frames.Drain())

    # ---- the channel's reports

    def greeted(self, _hello: object) -> None:
        """The worker serves."""
        self._watcher.loaded(self._name)

    def received(self, frame: object) -> None:
        """A frame of the worker; of them only its totals matter here."""
        if isinstance(frame, frames.Counters):
            self._watcher.counted(self._name, frame.busy_slots, frame.started)

    def lost(self, reason: str) -> None:
        """Its keeper knows more of its end."""

    def _send(self, frame: Frame) -> None:
        with contextlib.suppress(ChannelClosed):
            self._channel.send(frame)
