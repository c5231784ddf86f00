"""A sum that fades: what happened `memory_s` ago counts 1/e of what happens now."""

import math


class Fading:
    """Sum and number of what was added, both fading at the same pace."""

    __slots__ = ("_count", "_last_s", "_memory_s", "_sum")

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._sum = 0.0
        self._count = 0.0
        self._last_s = 0.0

    def add(self, amount: float, now_s: float) -> None:
        """Add to the sum; may be below zero."""
        fade = self._fade(now_s)
        self._sum = self._sum * fade + amount
        self._count = self._count * fade + 1
        self._last_s = max(now_s, self._last_s)

    def total(self, now_s: float) -> float:
        """The faded sum."""
        return self._sum * self._fade(now_s)

    def rate_per_s(self, now_s: float) -> float:
        """The faded sum over its memory: exact for a steady stream, slow to believe a new one."""
        return self.total(now_s) / self._memory_s

    def mean(self) -> float:
        """Of what was added lately; 0 before anything was."""
        return self._sum / self._count if self._count > 0 else 0.0

    @property
    def count(self) -> float:
        """How many of what was added counted when the last was."""
        return self._count

    def _fade(self, now_s: float) -> float:
        return math.exp(-max(now_s - self._last_s, 0.0) / self._memory_s)
