"""The queues that others run, for comparison: each in its own few lines, none of them knows a price or a promise."""
# ruff: noqa: ARG002 (all answer the same questions, few need all that they are told)

from collections import deque
from collections.abc import Callable, Iterator

from gateway.simulating.scheduling_policy import Act, Asked, SimulatedPool, Start, TurnAway


class Baseline:
    """A queue that starts whom `_next` names while slots are free. `_admits` may refuse at arrival."""

    tick_s: float | None = None
    _pool: SimulatedPool

    def __init__(self) -> None:
        self._queue: deque[Asked] = deque()

    def opened(self, pool: SimulatedPool, now_s: float) -> None:
        self._pool = pool

    def arrived(self, asked: Asked, now_s: float) -> Iterator[Act]:
        if not self._admits(asked, now_s):
            yield TurnAway(asked)
            return
        self._enter(asked)
        yield from self._fill(now_s)

    def began(self, asked: Asked, now_s: float) -> Iterator[Act]:
        return iter(())

    def ended(self, asked: Asked, now_s: float) -> Iterator[Act]:
        return self._fill(now_s)

    def left(self, asked: Asked, now_s: float) -> Iterator[Act]:
        if asked in (queue := self._queue_of(asked)):
            queue.remove(asked)
        return self._fill(now_s)

    def tick(self, now_s: float) -> Iterator[Act]:
        return iter(())

    def _fill(self, now_s: float) -> Iterator[Act]:
        yield from self._expired(now_s)
        while self._pool.free_slots() > 0 and (asked := self._next(now_s)) is not None:
            yield Start(asked)

    def _admits(self, asked: Asked, now_s: float) -> bool:
        return True

    def _enter(self, asked: Asked) -> None:
        self._queue_of(asked).append(asked)

    def _queue_of(self, asked: Asked) -> deque[Asked]:
        return self._queue

    def _expired(self, now_s: float) -> Iterator[Act]:
        return iter(())

    def _next(self, now_s: float) -> Asked | None:
        return self._queue.popleft() if self._queue else None


class Fifo(Baseline):
    """First come, first served; at most `limit` wait. Ollama has none for a loaded model, 512 while one loads."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self._limit = limit

    def _admits(self, asked: Asked, now_s: float) -> bool:
        return self._limit is None or len(self._queue) < self._limit


class StaticLimit(Baseline):
    """Refuses when `limit` are in service or wait."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def _admits(self, asked: Asked, now_s: float) -> bool:
        running = self._pool.workers * self._pool.slots - self._pool.free_slots()
        return running + len(self._queue) < self._limit


class LifoCodel(Baseline):
    """Facebook's controlled delay with adaptive LIFO (Maurer, Fail at Scale, ACM Queue 2015): a queue not empty
    for `interval_s` gives each request `target_s` and serves the newest first, else `interval_s` and the oldest."""

    def __init__(self, target_s: float = 1.0, interval_s: float = 10.0) -> None:
        super().__init__()
        self._target_s, self._interval_s, self._empty_s = target_s, interval_s, 0.0

    def arrived(self, asked: Asked, now_s: float) -> Iterator[Act]:
        if not self._queue:
            self._empty_s = now_s
        return super().arrived(asked, now_s)

    def _crowded(self, now_s: float) -> bool:
        return now_s - self._empty_s > self._interval_s

    def _expired(self, now_s: float) -> Iterator[Act]:
        longest_s = self._target_s if self._crowded(now_s) else self._interval_s
        while self._queue and now_s - self._queue[0].at_s > longest_s:
            yield TurnAway(self._queue.popleft())

    def _next(self, now_s: float) -> Asked | None:
        if not self._queue:
            self._empty_s = now_s
            return None
        return self._queue.pop() if self._crowded(now_s) else self._queue.popleft()


class RoundRobin(Baseline):
    """One queue a team, served in turn, each request dropped after `ttl_s`: llm-d's flow control as usually set."""

    def __init__(self, ttl_s: float = 10.0) -> None:
        super().__init__()
        self._ttl_s = ttl_s
        self._teams: dict[str, deque[Asked]] = {}

    def _queue_of(self, asked: Asked) -> deque[Asked]:
        return self._teams.setdefault(asked.arrival.team, deque())

    def _expired(self, now_s: float) -> Iterator[Act]:
        for queue in self._teams.values():
            while queue and now_s - queue[0].at_s > self._ttl_s:
                yield TurnAway(queue.popleft())

    def _next(self, now_s: float) -> Asked | None:
        for team in list(self._teams):
            queue = self._teams[team] = self._teams.pop(team)  # to the end of the circle
            if queue:
                return queue.popleft()
        return None


BASELINES: dict[str, Callable[[], Baseline]] = {
    "FIFO unbounded": Fifo,
    "FIFO max-queue 512": lambda: Fifo(512),
    "static reject at 16": lambda: StaticLimit(16),
    "LIFO-CoDel 1 s/10 s": LifoCodel,
    "round robin + TTL 10 s": RoundRobin,
}
