"""The shared store on a clock of our own, and with a way to it that we can cut.

The script reads the server's clock; here a copy of it is told the time instead, and nothing else of it differs.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from redis.asyncio.connection import UnixDomainSocketConnection

from gateway.limits.redis_link import Part, RedisAway, RedisLink, Script
from tests.redis_server import RedisServer

BEGIN_US = 1_709_210_000_000_000  # 29 February 2024, half past twelve
TELL_TIME = ("redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }")

Way = Literal["open", "cut", "mute", "held"]


def link_to(server: RedisServer, timeout_s: float = 10.0, max_connections: int = 32) -> RedisLink:
    """A link to a real server, patient unless told otherwise."""
    return RedisLink(
        lambda: UnixDomainSocketConnection(path=str(server.socket), protocol=2, driver_info=None),
        timeout_s=timeout_s,
        max_connections=max_connections,
    )


class ToldClock:
    """One clock for the server and all gateways, standing still until moved."""

    def __init__(self) -> None:
        self.now_us = BEGIN_US

    def mono_ns(self) -> int:
        return self.now_us * 1000

    unix_ns = mono_ns


class ToldLink:
    """A link whose scripts take `clock` for the server's.

    `way`: `open`; `cut`, where nothing arrives; `mute`, where all arrives and no reply returns; `held`, where what is
    sent arrives when `let_through` is called.
    """

    def __init__(self, link: RedisLink, clock: ToldClock) -> None:
        self._link = link
        self._clock = clock
        self._waiting: list[Callable[[], Any]] = []
        self.way: Way = "open"

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part]) -> list[Any]:
        told = Script(script.text.replace(*TELL_TIME))
        assert told.text != script.text

        async def ask() -> list[Any]:
            time = (self._clock.now_us // 10**6, self._clock.now_us % 10**6)
            return await self._link.run(told, keys, (*arguments, *time))

        if self.way == "open":
            return await ask()
        if self.way == "mute":
            await ask()
        if self.way == "held":
            self._waiting.append(ask)
        raise RedisAway("timeout")

    async def let_through(self) -> None:
        """What was held up arrives now; its replies find nobody."""
        waiting, self._waiting = self._waiting, []
        for ask in waiting:
            await ask()

    async def close(self) -> None:
        await self._link.close()
