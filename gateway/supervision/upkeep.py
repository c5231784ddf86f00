"""Who says when an engine process may run: always, or by what `gateway.supervision.loader` decides for workers."""

from typing import Protocol


class Upkeep(Protocol):
    """What a keeper asks before it starts its process, and tells after that has ended."""

    async def may_start(self) -> None:
        """Returns once the process shall run."""
        ...

    def was_to_leave(self) -> bool:
        """Whether the process that just ended had been told to: then its end is no failure."""
        ...

    def is_overdue(self) -> bool:
        """Whether it was told to leave so long ago that it has to be ended."""
        ...

    def ended(self, cause: str, delay_s: float, *, quarantined: bool) -> None:
        """It ended without having been told to, and is started again after `delay_s`."""
        ...


class AlwaysUp:
    """For what runs as long as Corral does."""

    async def may_start(self) -> None:
        """At once."""

    def was_to_leave(self) -> bool:
        """Never."""
        return False

    def is_overdue(self) -> bool:
        """Never."""
        return False

    def ended(self, cause: str, delay_s: float, *, quarantined: bool) -> None:
        """Nobody else need know."""
