"""How long the queue's decisions take: the slowest, and how many took how long."""

import contextlib
import time
from bisect import bisect_left
from collections.abc import Iterator

EDGES_S = (20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 5e-3)


class DecisionTimes:
    """`counts` holds one number for each edge in `EDGES_S` (at most so long), and one beyond; `total_s` their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES_S) + 1)
        self.total_s = 0.0
        self.slowest_s = 0.0

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Count the time of the block."""
        began_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            spent_s = (time.perf_counter_ns() - began_ns) / 1e9
            self.counts[bisect_left(EDGES_S, spent_s)] += 1
            self.total_s += spent_s
            self.slowest_s = max(self.slowest_s, spent_s)
