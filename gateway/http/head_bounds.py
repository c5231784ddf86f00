"""Bounds on a request's head while it arrives, which aiohttp does not have.

A deadline from its first byte (slowloris: aiohttp alone waits for the idle time-out), and a size in
all: without it each connection holds as many fields of the longest kind as are allowed, for a caller
without a key.
"""

import asyncio
from collections.abc import Callable

# RFC 9112 section 3 asks for 8000 bytes of request line: the target may have more. A field's name and value together.
MAX_LINE_BYTES = 8190
MAX_FIELD_BYTES = 8190
MAX_HEADERS = 64
# nginx takes 32 KiB, Node 16.
MAX_HEAD_BYTES = 64 * 1024


class HeadTooLong(Exception):
    """A request's head went on beyond MAX_HEAD_BYTES, or a field in it beyond MAX_FIELD_BYTES."""


class HeadBounds:
    """The clock and the count of the head that is on its way.

    `overdue` is called `timeout_s` after its first byte, unless it ended before; it answers whether the
    connection was closed. When not (an earlier answer is still on its way and must not be cut for what
    follows it), the clock starts again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, overdue: Callable[[], bool]) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._overdue = overdue
        self._size_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def take(self, size_bytes: int) -> None:
        """Some bytes of a head arrived. Raises HeadTooLong."""
        self._size_bytes += size_bytes
        if self._size_bytes > MAX_HEAD_BYTES:
            self.ended()
            raise HeadTooLong

    def wait(self) -> None:
        """They were not all of it: the clock runs. (A head that comes whole needs none.)"""
        if self._timer is None:
            self._start()

    def ended(self) -> None:
        """The head is whole, or nobody waits for it any more."""
        self._size_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._timer = self._loop.call_later(self._timeout_s, self._ring)

    def _ring(self) -> None:
        if not self._overdue():
            self._start()
