"""Keeps several gateway processes accepting on the same listening sockets, each by a keeper of its own.

Rules:

- The first starts alone: a fault in what all are given shows once. The others follow together. Ready is when all are.
- A keeper that gives up ends the keeping of all: with that status, the supervisor ends.
- A replacement goes round one after another, so that never more than one gateway has to drain beside its successor.
- The admin socket's path belongs to whichever gateway took it last.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol


class Keeper(Protocol):
    """What keeps one gateway process, or several."""

    async def keep(self) -> int: ...
    async def replace(self) -> None: ...
    async def stop(self, hurry: asyncio.Event) -> None: ...


class GatewayGroup:
    """See the head of the module. `make_keeper` makes one from what it shall call when its gateway is first ready."""

    def __init__(self, count: int, make_keeper: Callable[[Callable[[], None]], Keeper], on_ready: Callable[[], None]):
        self._on_ready = on_ready
        self._lacking = count
        self._first_ready = asyncio.Event()
        self._keepers: Sequence[Keeper] = [make_keeper(self._one_ready) for _ in range(count)]

    async def keep(self) -> int:
        """Keep all of them serving. Returns the exit status of the first that cannot be kept."""
        first, *others = self._keepers
        tasks = [asyncio.create_task(first.keep())]
        waiting = asyncio.create_task(self._first_ready.wait())
        try:
            await asyncio.wait({tasks[0], waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                tasks += [asyncio.create_task(each.keep()) for each in others]
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return ended.pop().result()
        finally:
            for task in (*tasks, waiting):
                task.cancel()
            await asyncio.gather(*tasks, waiting, return_exceptions=True)

    async def replace(self) -> None:
        """Put a new gateway in the place of each."""
        for keeper in self._keepers:
            await keeper.replace()

    async def stop(self, hurry: asyncio.Event) -> None:
        """End every gateway: all drain at once."""
        await asyncio.gather(*(keeper.stop(hurry) for keeper in self._keepers))

    def _one_ready(self) -> None:
        self._first_ready.set()
        self._lacking -= 1
        if not self._lacking:
            self._on_ready()
