"""What runs now: so that a revoked key's streams are cut at once, and a drain ends what is left."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from gateway.exchange import Exchange
from policies.errors import NoCapacity, Refused, Revoked
from policies.principal import Principal

LAST_WORDS_S = 2.0
"""What a cut stream gets to send its error and write its record."""


class Running:
    """All exchanges between their first byte and their last record."""

    def __init__(self) -> None:
        self._exchanges: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.contextmanager
    def entered(self, exchange: Exchange) -> Iterator[None]:
        """Count `exchange` as running inside the block."""
        self._exchanges.add(exchange)
        self._idle.clear()
        try:
            yield
        finally:
            self._exchanges.discard(exchange)
            if not self._exchanges:
                self._idle.set()

    def count(self) -> int:
        """How many requests are being served."""
        return len(self._exchanges)

    def revoked(self, key_id: str) -> None:
        """Cut every request made with this key."""
        self.cut_where(lambda principal: principal.key_id == key_id, Revoked("revoked_while_running"))

    def cut_where(self, concerns: Callable[[Principal], bool], cause: Refused) -> None:
        """Cut every request whose principal `concerns`; each stream ends with `cause`."""
        for exchange in list(self._exchanges):
            if exchange.principal is not None and concerns(exchange.principal):
                exchange.cut_off(cause)

    async def drained(self, timeout_s: float, hurry: asyncio.Event) -> None:
        """Wait until nothing runs; after `timeout_s`, or on `hurry`, cut what is left and wait for its last words."""
        await self._wait_idle(timeout_s, hurry)
        self._cut_all(NoCapacity("draining"))
        await self._wait_idle(LAST_WORDS_S, asyncio.Event())

    async def _wait_idle(self, timeout_s: float, hurry: asyncio.Event) -> None:
        waits = [asyncio.create_task(each.wait()) for each in (self._idle, hurry)]
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    def _cut_all(self, cause: Refused) -> None:
        for exchange in list(self._exchanges):
            exchange.cut_off(cause)
