"""Lines simulated as plainly as can be, customer by customer: what the formulas of capacity are judged by.

Nothing here knows a formula. Gaps between arrivals and services are drawn by a seeded generator; results are exact for
those draws. How far a mean of them may be off is told by batch means: successive customers' waits depend on each
other, so the mean of one long run is judged by the means of twenty parts of it.
"""

import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import repeat
from statistics import fmean, stdev

BATCHES = 20
STUDENT_T = 2.093
"""For 95 % and 19 degrees of freedom."""

Draw = Callable[[], float]


def fixed(mean: float) -> Draw:
    """Always the mean."""
    return lambda: mean


def exponential(mean: float, randomness: random.Random) -> Draw:
    """Squared coefficient of variation 1."""
    return lambda: randomness.expovariate(1 / mean)


def lognormal(mean: float, cv2: float, randomness: random.Random) -> Draw:
    """A heavy tail; lengths of answers look like it."""
    variance = math.log(1 + cv2)
    return lambda: mean * randomness.lognormvariate(-variance / 2, math.sqrt(variance))


def bursty(mean: float, cv2: float, randomness: random.Random) -> Draw:
    """Two exponential phases with balanced means (cv2 above 1): gaps between arrivals in bursts."""
    often = (1 + math.sqrt((cv2 - 1) / (cv2 + 1))) / 2
    return lambda: randomness.expovariate(2 * (often if randomness.random() < often else 1 - often) / mean)


def waits(servers: int, customers: int, gap: Draw, service: Draw) -> Iterator[float]:
    """Each customer's wait, first come, first served."""
    now, free_at = 0.0, [0.0] * servers
    for _ in repeat(None, customers):
        now += gap()
        start = max(now, heappop(free_at))
        heappush(free_at, start + service())
        yield start - now


def losses(servers: int, customers: int, gap: Draw, service: Draw) -> Iterator[float]:
    """1 for each customer turned away as all servers were busy, 0 for the others."""
    now, free_at = 0.0, [0.0] * servers
    heapify(free_at)
    for _ in repeat(None, customers):
        now += gap()
        lost = free_at[0] > now
        if not lost:
            heappop(free_at)
            heappush(free_at, now + service())
        yield float(lost)


def shared(
    limit: int, speed: Callable[[int], float], customers: int, gap: Draw, work: Draw
) -> list[tuple[float, float]]:
    """Each customer's wait and response; `n` of at most `limit` in service progress at `speed(n)` each, others wait.

    Work done by each so far is one virtual time for all, so that a customer's end stands fixed once it has begun.
    """
    now = done = 0.0
    arrives = gap()
    inside: list[tuple[float, int]] = []
    waiting: deque[tuple[float, int]] = deque()
    came: list[float] = []
    began: dict[int, float] = {}
    out: list[tuple[float, float]] = []
    while len(out) < customers:
        ends = now + (inside[0][0] - done) / speed(len(inside)) if inside else math.inf
        at = min(ends, arrives)
        done += (at - now) * speed(len(inside)) if inside else 0.0
        now = at
        if arrives <= ends:
            came.append(now)
            waiting.append((work(), len(came) - 1))
            arrives = now + gap()
        else:
            done, who = heappop(inside)
            out.append((began.pop(who) - came[who], now - came[who]))
        if waiting and len(inside) < limit:
            amount, who = waiting.popleft()
            began[who] = now
            heappush(inside, (done + amount, who))
    return out


def batched(
    shape: tuple[int, int], speed: Callable[[int], float], customers: int, gap: Draw, work: Draw
) -> Iterator[float]:
    """Each customer's wait before targets of so many slots (`shape`: targets, slots of each), the emptiest first.

    On a target with n at work each progresses at `speed(n)`.
    """
    targets = [_Batch(speed) for _ in range(shape[0])]
    arrives, begun = gap(), 0
    waiting: deque[tuple[float, float]] = deque()
    while begun < customers:
        first = min(targets, key=lambda target: target.ends_at)
        now = min(arrives, first.ends_at)
        if arrives <= first.ends_at:
            waiting.append((now, work()))
            arrives = now + gap()
        else:
            first.end(now)
        emptiest = min(targets, key=lambda target: len(target.inside))
        if waiting and len(emptiest.inside) < shape[1]:
            came, amount = waiting.popleft()
            emptiest.begin(amount, now)
            begun += 1
            yield now - came


class _Batch:
    """One target: what its requests have done so far is one virtual time for all."""

    def __init__(self, speed: Callable[[int], float]) -> None:
        self._speed = speed
        self.inside: list[float] = []
        self.ends_at = math.inf
        self._done = self._at = 0.0

    def begin(self, amount: float, now: float) -> None:
        self._settle(now)
        heappush(self.inside, self._done + amount)
        self._plan()

    def end(self, now: float) -> None:
        self._settle(now)
        self._done = heappop(self.inside)
        self._plan()

    def _settle(self, now: float) -> None:
        if self.inside:
            self._done += (now - self._at) * self._speed(len(self.inside))
        self._at = now

    def _plan(self) -> None:
        busy = len(self.inside)
        self.ends_at = self._at + (self.inside[0] - self._done) / self._speed(busy) if busy else math.inf


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """The mean without the first twentieth, and half the width of its 95 % interval by batch means."""
    size = len(values) // (BATCHES + 1)
    means = [fmean(values[part * size : (part + 1) * size]) for part in range(1, BATCHES + 1)]
    return fmean(means), STUDENT_T * stdev(means) / math.sqrt(BATCHES)
