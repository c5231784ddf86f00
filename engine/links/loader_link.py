"""A gateway's side of the supervisor's loader: says what its requests wait for, hears what is loaded.

While there is no connection nothing is known: workers that are loaded go on serving, and requests for others wait as
they do for a process that restarts.
"""

import asyncio
import contextlib
from collections.abc import Callable

from engine.frames import Frame, FrameError
from engine.links.channel import Channel, ChannelClosed
from engine.loader_frames import KeepAlive, LoaderAnswer, Residences, Wanted
from engine.residency import Group, Residence

SAY_EVERY_S = 1.0
"""A third of the time after which what was said lapses."""


class LoaderLink:
    """See the head of the module. `on_news` hears of every change; an empty tuple when nothing is known any more."""

    def __init__(self, path: str, on_news: Callable[[tuple[Residence, ...]], None]) -> None:
        self._channel = Channel(path, LoaderAnswer, self)
        self._on_news = on_news
        self._wanted: frozenset[Group] = frozenset()
        self._away: frozenset[str] = frozenset()
        self._longest_answer_s = 0.0
        self._saying: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect."""
        self._channel.open()
        self._saying = asyncio.create_task(self._say_again())

    async def close(self) -> None:
        """End the connection."""
        if self._saying is not None:
            self._saying.cancel()
            await asyncio.gather(self._saying, return_exceptions=True)
        await self._channel.close()

    def want(self, groups: frozenset[Group]) -> None:
        """All that requests wait for now."""
        if groups != self._wanted:
            self._wanted = groups
            self._say()

    def away(self, workers: frozenset[str]) -> None:
        """The workers that have told this gateway that they leave, and are still connected."""
        if workers != self._away:
            self._away = workers
            self._say()

    def answers_take(self, longest_s: float) -> None:
        """How long an answer of this gateway's callers may take."""
        if longest_s != self._longest_answer_s:
            self._longest_answer_s = longest_s
            self._say()

    def keep(self, model: str, seconds: float) -> None:
        """A caller's hint; lost while there is no connection, since it is no more than that."""
        self._send(KeepAlive(model=model, seconds=seconds))

    # ---- the channel's reports

    def greeted(self, _hello: object) -> None:
        """The loader is there: it has to hear at once what is waited for, and how long answers may take."""
        if self._wanted or self._away or self._longest_answer_s:
            self._say()

    def received(self, frame: object) -> None:
        """A frame of the loader."""
        if not isinstance(frame, Residences):
            raise FrameError("a second hello")
        self._on_news(frame.workers)

    def lost(self, _reason: str) -> None:
        """Nothing is known until it is back."""
        self._on_news(())

    # ---- inside

    def _say(self) -> None:
        groups, away = tuple(sorted(self._wanted)), tuple(sorted(self._away))
        self._send(Wanted(groups=groups, away=away, longest_answer_s=self._longest_answer_s))

    def _send(self, frame: Frame) -> None:
        with contextlib.suppress(ChannelClosed):
            self._channel.send(frame)

    async def _say_again(self) -> None:
        while True:
            await asyncio.sleep(SAY_EVERY_S)
            if self._wanted or self._away:
                self._say()
