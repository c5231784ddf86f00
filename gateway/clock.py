"""The two clocks, handed around so that tests hold them still."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for people and logs, monotonic time for waits and limits."""

    def unix_ns(self) -> int: ...
    def mono_ns(self) -> int: ...


def unix_s(clock: Clock) -> float:
    """Its wall time in seconds since 1970, as far as a float goes."""
    return clock.unix_ns() / 1e9


class SystemClock:
    """The machine's clocks."""

    def unix_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.monotonic_ns()
