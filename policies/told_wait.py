"""How exactly a caller is told of a wait: rounded up to one of a few steps, lest the load of others be read from it.

A predicted wait is the backlog of everybody over the slots. Told to the millisecond it would change with each
request of another team, and tell how long it is: a side channel between teams that must not know of each other.

The ladder is 1, 1.5, 2, 3, 5 and 7 times a power of ten milliseconds, from 50 ms to `MOST_MS`: 27 answers in all. What
is told is never less than what was computed, and at most two thirds of it more, which a prediction errs by anyway.
Up to 50 ms is 0: at once, as far as a caller can tell. The wait that there was is told on the same ladder: a caller may
time it anyhow, but not so that the rounding of one header is undone by the other.

What stays: a jump from one step to the next. Whoever asks again and again learns the total load to within a step, and
could as well time its own answers. The moment booked for a refused request (Retry-After) is not rounded to the ladder:
told too early it would be lost, told much too late it would have lapsed.
"""

from bisect import bisect_left

LEAST_MS = 50
MOST_MS = 1_000_000
"""Longer than any official client waits for a first byte (600 s)."""

_LADDER_MS = (70, *(step * power for power in (10, 100, 1_000, 10_000) for step in (10, 15, 20, 30, 50, 70)), MOST_MS)


def told_ms(wait_s: float) -> int:
    """`wait_s` seconds as the milliseconds to tell. Not-a-number, which says nothing, is told as the longest wait."""
    wait_ms = wait_s * 1000
    if wait_ms <= LEAST_MS:
        return 0
    return _LADDER_MS[bisect_left(_LADDER_MS, wait_ms)] if wait_ms < MOST_MS else MOST_MS
