"""Sessions of several gateways: in the Redis that they share their limits through.

Whoever can write there can end sessions but not make one: rows are sealed with what only the gateways hold.
"""

from importlib.resources import files
from typing import Any

from gateway.limits.redis_link import Part, RedisAway, RedisLink, Script
from policies.errors import PolicyUnavailable

KEYS = ("{corral}:console:sessions", "{corral}:console:alarms")


class RedisSessions:
    """See `gateway.console.session_store.SessionStore`. `link` is owned from here on."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._script = Script(files("gateway.console").joinpath("sessions.lua").read_text("ascii"))

    async def put(self, digest: str, sealed: bytes) -> None:
        """See SessionStore."""
        await self._do("put", digest, sealed)

    async def update(self, digest: str, sealed: bytes) -> None:
        """See SessionStore."""
        await self._do("update", digest, sealed)

    async def get(self, digest: str) -> bytes | None:
        """See SessionStore."""
        found = await self._do("get", digest)
        return bytes(found[0]) if found and found[0] is not None else None

    async def all(self) -> dict[str, bytes]:
        """See SessionStore."""
        found = await self._do("all")
        return {found[at].decode("ascii", "replace"): bytes(found[at + 1]) for at in range(0, len(found), 2)}

    async def drop(self, digest: str) -> bool:
        """See SessionStore."""
        return bool((await self._do("drop", digest))[0])

    async def raise_alarm(self, name: str, at_s: float, until_s: float) -> None:
        """See SessionStore."""
        await self._do("alarm", name, f"{at_s!r} {until_s!r}")

    async def alarms(self, now_s: float) -> tuple[float, ...]:
        """See SessionStore. The script drops what is over, and what none of ours wrote."""
        found = await self._do("alarms", repr(now_s))
        try:
            return tuple(sorted((float(each.split()[0]) for each in found), reverse=True))
        except ValueError as cause:
            raise PolicyUnavailable("session_store_unsound") from cause

    async def close(self) -> None:
        """See SessionStore."""
        await self._link.close()

    async def _do(self, act: str, *arguments: Part) -> list[Any]:
        try:
            return await self._link.run(self._script, KEYS, (act, *arguments))
        except RedisAway as away:
            raise PolicyUnavailable(f"session_store_{away.reason}") from away
