"""A few connections to one Redis server, one caller each at a time, none ever in doubt.

Decides nothing; it carries a script's arguments there and its reply back. Rules:
 (1) A call ends within `timeout_s`, connecting included, or raises RedisAway.
 (2) A connection whose call was cancelled, timed out or failed is closed, never used again: its next reply
     would be the last caller's (redis-py CVE-2023-28858 and -28859, by which ChatGPT showed people the titles
     of other people's chats). redis-py's own pool is not used: cancelled within a connection's greeting it
     takes that connection back with the greeting's reply still to come.
 (3) Each call carries a nonce and the reply must begin with it. One that does not is somebody else's: the
     connection is closed and the call fails.
 (4) A script that the server forgot (SCRIPT FLUSH, a restart) is sent whole, within the same time.
 (5) An idle connection that was closed by the server, or has something to read, is left for a new one.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError

MAX_CONNECTIONS = 32
"""At once; more callers wait for one, within their time. A server answers some 50,000 scripts a second."""

KNOWN_FAULTS = {
    "AuthenticationError": "authentication",
    "BusyLoadingError": "loading",
    "NoPermissionError": "no_permission",
    "OutOfMemoryError": "out_of_memory",
    "ReadOnlyError": "read_only",
}
"""redis-py's errors whose text lost the server's own code."""

Part = str | int | bytes
MakeConnection = Callable[[], AbstractConnection]


class RedisAway(Exception):
    """The server could not be asked. `reason` is a stable code, for the log and the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Script:
    """A Lua script and the name the server knows it by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """See the head of the module. `make_connection` makes one that is not yet connected."""

    def __init__(
        self, make_connection: MakeConnection, *, timeout_s: float, max_connections: int = MAX_CONNECTIONS
    ) -> None:
        self._make_connection = make_connection
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(max_connections)
        self._idle: list[AbstractConnection] = []
        self._asking: set[asyncio.Task[list[Any]]] = set()
        self._nonces = secrets.token_hex(8)
        self._calls = 0
        self._closed = False

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part]) -> list[Any]:
        """The script's reply without its nonce, which it gets as its first argument. Raises RedisAway.

        A call that failed may have been carried out all the same: RedisAway says nothing about that.
        """
        self._calls += 1
        nonce = f"{self._nonces}-{self._calls}"
        asking = asyncio.create_task(self._ask(script, nonce, (len(keys), *keys, nonce, *arguments)))
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        try:
            # Not asyncio.timeout: after a stall of our own loop a reply that is already here still counts.
            await asyncio.wait({asking}, timeout=self._timeout_s)
        finally:
            in_time = asking.done() or not asking.cancel()
        if not in_time:
            raise RedisAway("timeout")
        return asking.result()

    async def close(self) -> None:
        """Close every connection; calls under way fail."""
        self._closed = True
        for asking in self._asking:
            asking.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    # ---- inside

    def _asked(self, asking: "asyncio.Task[list[Any]]") -> None:
        """Let the task go; what it raised was either told or nobody waits for it any more."""
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()

    async def _ask(self, script: Script, nonce: str, rest: tuple[Part, ...]) -> list[Any]:
        try:
            async with self._places:
                return await self._ask_over(await self._idle_connection(), script, nonce, rest)
        except (RedisError, OSError, TimeoutError) as fault:
            raise RedisAway(_reason(fault)) from fault

    async def _idle_connection(self) -> AbstractConnection:
        """One that is clean, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            try:
                dirty = await connection.can_read()
            except (RedisError, OSError):
                dirty = True
            if not dirty:
                return connection
            await connection.disconnect(nowait=True)
        return self._make_connection()

    async def _ask_over(
        self, connection: AbstractConnection, script: Script, nonce: str, rest: tuple[Part, ...]
    ) -> list[Any]:
        """One question, one answer; whatever goes wrong, or stops this, closes the connection."""
        kept = False
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            try:
                reply = await _exchange(connection, "EVALSHA", script.sha1, *rest)
            except NoScriptError:
                reply = await _exchange(connection, "EVAL", script.text, *rest)
            if not isinstance(reply, list) or not reply or reply[0] != nonce.encode():
                raise RedisAway("foreign_reply")
            kept = not self._closed
            return reply[1:]
        finally:
            if kept:
                self._idle.append(connection)
            else:
                await connection.disconnect(nowait=True)


async def _exchange(connection: AbstractConnection, *command: Part) -> Any:
    await connection.send_command(*command, check_health=False)
    return await connection.read_response(disable_decoding=True)


def _reason(fault: Exception) -> str:
    """A code for what the server or the way to it did: the first word of an error it sent, or our own."""
    word = str(fault).split(" ", 1)[0] if isinstance(fault, RedisError) else ""
    if word.isascii() and word.isupper() and word.isalpha():
        return word.lower()
    return KNOWN_FAULTS.get(type(fault).__name__, "unreachable")
