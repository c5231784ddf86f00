"""What runs now: so that a revoked key's streams are cut at once, and a drain ends what is left."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from gateway.exchange import Exchange
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.principal import Principal
from policies.errors import NoCapacity, NotAuthenticated, Refused, Revoked

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

    def waiting(self) -> tuple[Exchange, ...]:
        """Those in the queue."""
        return tuple(each for each in self._exchanges if each.waits_for_slot())

    def revoked(self, key_id: str) -> None:
        """Cut every request made with this key."""
        self.cut_where(lambda each: Revoked("revoked_while_running") if each.key_id == key_id else None)

    def cut_where(self, cause_of: Callable[[Principal], Refused | None]) -> None:
        """Cut every request whose principal `cause_of` answers a cause for; its stream ends with that."""
        for exchange in list(self._exchanges):
            cause = cause_of(exchange.principal) if exchange.principal is not None else None
            if cause is not None:
                exchange.cut_off(cause)

    def judge_certificates(self, require: Callable[[ClientCertificate], None]) -> None:
        """Cut every request on a connection whose client certificate `require` raises NotAuthenticated for."""
        for exchange in list(self._exchanges):
            certificate = exchange.tls.client_certificate if exchange.tls is not None else None
            if certificate is not None:
                try:
                    require(certificate)
                except NotAuthenticated as fault:
                    exchange.cut_off(Revoked(fault.reason))

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
