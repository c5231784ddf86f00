"""A record that was handed to the log and is lasting later: handed over early, awaited where it must be."""

import asyncio


class Recording:
    """One record on its way. Whoever waits for it may be cancelled without taking the record back."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self._done = done
        done.add_done_callback(_heard)

    async def lasting(self) -> None:
        """Wait until it is. Raises AuditUnavailable when it never will be."""
        await self.settled()
        self._done.result()

    async def settled(self) -> None:
        """Wait until it is, or never will be."""
        if not self._done.done():
            await asyncio.wait([self._done])


def _heard(done: asyncio.Future[None]) -> None:
    """A failure is raised where it is awaited; a request refused before that for another reason need not be told."""
    if not done.cancelled():
        done.exception()
