"""Where sessions lie: rows that say nothing without the gateway's secrets, found by a digest of the cookie.

What a row holds is sealed (`gateway.console.sessions`); a store keeps it and knows no more. Every failure is
PolicyUnavailable: a session that cannot be looked up is refused.
"""

from typing import Protocol


class SessionStore(Protocol):
    """One home's file, or the Redis that several gateways share."""

    async def put(self, digest: str, sealed: bytes) -> None:
        """Add a row. Raises PolicyUnavailable."""
        ...

    async def update(self, digest: str, sealed: bytes) -> None:
        """Replace a row that is there; one that has ended meanwhile stays away. Raises PolicyUnavailable."""
        ...

    async def get(self, digest: str) -> bytes | None:
        """The row. Raises PolicyUnavailable."""
        ...

    async def all(self) -> dict[str, bytes]:
        """Every row by its digest. Raises PolicyUnavailable."""
        ...

    async def drop(self, digest: str) -> bool:
        """Remove a row; True for the one caller who did. Raises PolicyUnavailable."""
        ...

    async def raise_alarm(self, name: str, at_s: float, until_s: float) -> None:
        """Remember the moment `at_s` (Unix seconds) under `name` until `until_s`. Raises PolicyUnavailable."""
        ...

    async def alarms(self, now_s: float) -> tuple[float, ...]:
        """The moments that are remembered still, newest first. Raises PolicyUnavailable."""
        ...

    async def close(self) -> None:
        """Let the file or the connections go."""
        ...
