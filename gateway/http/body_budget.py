"""How much memory request bodies may take, all connections of a listener together.

A body counts with the bytes that have arrived, from its first to the end of its request: a caller who
only announces 8 MiB holds nothing. One that is announced and cannot fit any more is refused before it is
sent.
"""

from policies.errors import Overloaded

RETRY_AFTER_S = 1.0
"""A body is read within its deadline and its request mostly sooner: asking again soon is worth it."""


class BodyBudget:
    """At most `limit_bytes` of bodies."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0

    def claim(self) -> "BodyClaim":
        """The share of one request, empty at first."""
        return BodyClaim(self)

    def demand_room(self, size_bytes: int) -> None:
        """Raises Overloaded unless `size_bytes` more would fit now."""
        if self.held_bytes + size_bytes > self._limit_bytes:
            raise Overloaded("bodies_full", retry_after_s=RETRY_AFTER_S)


class BodyClaim:
    """What one request holds."""

    __slots__ = ("_budget", "_held_bytes")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._held_bytes = 0

    def expect(self, size_bytes: int) -> None:
        """Raises Overloaded when a body of `size_bytes`, of which nothing has come, does not fit."""
        self._budget.demand_room(size_bytes)

    def take(self, size_bytes: int) -> None:
        """`size_bytes` more have arrived. Raises Overloaded, and then counts nothing."""
        self._budget.demand_room(size_bytes)
        self._budget.held_bytes += size_bytes
        self._held_bytes += size_bytes

    def let_go(self) -> None:
        """The request is over."""
        self._budget.held_bytes -= self._held_bytes
        self._held_bytes = 0
