"""An engine's events, taken as they come, and read at the pace of whoever writes them to the client.

A slot is over when the engine is done, not when a client has taken the last bytes. Were each event asked for only once
the one before it is written, a client that reads slowly would keep its slot long after its work is over, for the price
of its few tokens, and its own pace would be learnt as the pool's and predicted to everybody else.

What is unread stays here, up to `AHEAD_EVENTS`; beyond that the engine waits, or ends the stream by its own rule.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator

from policies.call import Event

AHEAD_EVENTS = 2048
"""Half of the longest answer a team has by default; with token times of any model more than a minute of it."""


@contextlib.asynccontextmanager
async def read_ahead(events: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    """`events`, taken ahead for the length of the block; what they raise is raised after those before it."""
    ahead = _Ahead()
    task = asyncio.create_task(ahead.take(events))
    task.add_done_callback(lambda _: ahead.news.set())
    try:
        yield ahead.read(task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Ahead:
    """What was taken and is not read yet."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._room = asyncio.Event()
        self._unread: deque[Event] = deque()

    async def take(self, events: AsyncIterator[Event]) -> None:
        """All of `events`."""
        async for event in events:
            self._unread.append(event)
            self.news.set()
            await asyncio.sleep(0)  # whoever keeps up reads it before the next is asked for
            while len(self._unread) >= AHEAD_EVENTS:
                self._room.clear()
                await self._room.wait()

    async def read(self, taking: asyncio.Task[None]) -> AsyncGenerator[Event, None]:
        """What `taking` took, in order, then its error if it had one."""
        while True:
            while self._unread:
                yield self._unread.popleft()
                self._room.set()
            if taking.done():
                taking.result()
                return
            self.news.clear()
            await self.news.wait()
