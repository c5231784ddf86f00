"""The post between gateways that share a queue: the lease, letters out and letters in, over Redis.

Letters go by publish and subscribe: pushed, in order, within a fraction of a millisecond, and stored nowhere. What
is published while nobody listens is lost; the letters' own numbers show that (`queue_letters`).

The scripts go over the project's one link (`gateway.limits.redis_link`), whose calls end within its time-out. Letters
come in over a connection of their own, which only reads: subscribed to our channel and to everybody's, it is pinged,
and made anew when it said nothing for `DEAF_S`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import structlog
from msgspec import Struct
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from gateway.limits.redis_link import MakeConnection, Part, RedisLink, Script

log = structlog.get_logger("corral.gateway")

LEASE_S = 2.0
PRESENT_S = 2.0
"""A gateway that did not beat for so long is not waited for."""
PING_EVERY_S = 0.5
DEAF_S = 1.5
RETRY_S = 0.1
KEYS = ("{corral}:queue:lease", "{corral}:queue:epoch", "{corral}:queue:gateways")
MAIL = "{corral}:queue:mail:"
EVERYBODY = "{corral}:queue:everybody"

Hear = Callable[[str, bytes], None]


class Lease(Struct, frozen=True):
    """Who decides. `left_s` of the holder's time; `listening`: letters to us arrive; `present` are all that live."""

    holder: str
    epoch: int
    left_s: float
    listening: bool
    present: tuple[str, ...]


class LeaseLost(Exception):
    """Another gateway decides by now; nothing was sent."""


class RedisPost:
    """See the head of the module. `me` names this process among all gateways."""

    def __init__(self, link: RedisLink, make_connection: MakeConnection, me: str) -> None:
        self.me = me
        self._link = link
        self._make_connection = make_connection
        read = files(__package__).joinpath
        self._lease = Script(read("lease.lua").read_text("ascii"))
        self._post = Script(read("post.lua").read_text("ascii"))

    async def beat(self, known_epoch: int) -> Lease:
        """Say that we live; hold the lease, or take it where nobody does. Raises RedisAway."""
        return await self._ask("beat", known_epoch)

    async def leave(self) -> None:
        """Say that we go, and give the lease back. Raises RedisAway."""
        await self._ask("leave", 0)

    async def send(self, letters: Sequence[tuple[str, bytes]], epoch: int) -> list[int]:
        """How many received each of `letters` (channel, bytes). `epoch` 0: not as the decider.

        Raises RedisAway, after which they may have arrived or not, and LeaseLost.
        """
        lease = f"{epoch} {self.me}" if epoch else ""
        parts: list[Part] = [part for channel, data in letters for part in (channel, data)]
        held, *received = await self._link.run(self._post, KEYS[:1], [lease, *parts])
        if not held:
            raise LeaseLost
        return [int(each) for each in received]

    async def listen(self, hear: Hear, opened: Callable[[], None]) -> None:
        """Hand every letter to `hear`, with its channel, until cancelled. `opened` is called at each new beginning."""
        heard = False

        def begun() -> None:
            nonlocal heard
            heard = True
            opened()

        while True:
            try:
                await self._listen(hear, begun)
            except (RedisError, OSError, TimeoutError) as fault:
                if heard:
                    log.info("queue_mail_interrupted", cause=type(fault).__name__)
                heard = False
            await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Let the connections go."""
        await self._link.close()

    # ---- inside

    async def _ask(self, act: str, known_epoch: int) -> Lease:
        times: list[Part] = [round(LEASE_S * 1000), round(PRESENT_S * 1000)]
        reply = await self._link.run(self._lease, KEYS, [self.me, known_epoch, *times, act, MAIL])
        holder, epoch, left_ms, receivers, *present = reply
        names = tuple(sorted(name.decode("utf-8", "replace") for name in present))
        return Lease(holder.decode("utf-8", "replace"), int(epoch), int(left_ms) / 1000, int(receivers) > 0, names)

    async def _listen(self, hear: Hear, opened: Callable[[], None]) -> None:
        connection = self._make_connection()
        pinging: asyncio.Task[None] | None = None
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("SUBSCRIBE", mail_of(self.me), EVERYBODY, check_health=False)
            await _next(connection)
            await _next(connection)
            opened()
            pinging = asyncio.create_task(_ping(connection))
            while True:
                kind, *rest = await _next(connection)
                if kind == b"message":
                    hear(rest[0].decode("utf-8", "replace"), rest[1])
        finally:
            if pinging is not None:
                pinging.cancel()
                await asyncio.gather(pinging, return_exceptions=True)
            await connection.disconnect(nowait=True)


def mail_of(gateway: str) -> str:
    """The channel of one gateway's letters."""
    return MAIL + gateway


async def _next(connection: AbstractConnection) -> list[Any]:
    async with asyncio.timeout(DEAF_S):
        reply: Any = await connection.read_response(disable_decoding=True)
    return reply if isinstance(reply, list) and len(reply) > 1 else [b"", b""]


async def _ping(connection: AbstractConnection) -> None:
    """Ask for a sign of life; a connection that cannot be written to is noticed by who reads."""
    with contextlib.suppress(RedisError, OSError):
        while True:
            await asyncio.sleep(PING_EVERY_S)
            await connection.send_command("PING", check_health=False)
