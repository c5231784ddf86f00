"""Blocks: a load on one queue for a while. Both queues take turns, and what the pool can serve is measured before each.

A block's first seconds bring the queue to its load and are not counted. Nor are requests of its last seconds
whose promise could not have ended: the load goes on until the end, then whoever still waits goes away.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.machine import cpu_times, steal_percent
from bench.pool_admission.capacity import Capacity
from bench.pool_admission.load import Answered, clients
from bench.pool_admission.site import Pool
from bench.pool_admission.stories import Story, stories
from bench.pool_admission.workload import schedule

LATE_S = 0.5
"""Beyond its promise, before a request without an answer is surely one too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One block to come: `loads` by team, as parts of what the pool can serve of that team alone."""

    queue: str
    load: float
    round: int
    loads: dict[str, float]
    seconds: float
    warm_up_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block that was run. `from_s` to `until_s` is what counts, on CLOCK_MONOTONIC."""

    plan: Plan
    capacity: Capacity
    from_s: float
    until_s: float
    answers: list[Answered]
    stories: list[Story]
    tape: list[dict[str, Any]]
    cpu_share: dict[str, float]
    steal_percent: float

    def counted(self, promises_s: dict[str, float]) -> list[Answered]:
        """The requests whose outcome counts."""
        return [
            each for each in self.answers if self.from_s <= each.sent_s <= self.until_s - promises_s[each.team] - LATE_S
        ]

    @property
    def seconds(self) -> float:
        """What counts of it."""
        return self.until_s - self.from_s


def plans(
    loads: tuple[float, ...], rounds: Iterable[int], light: float, seconds: float, warm_up_s: float
) -> Iterator[Plan]:
    """Every load with both queues in turn, the one that begins changing each round; the flood is what light leaves."""
    for round_number in rounds:
        order = ("fifo", "corral") if round_number % 2 == 0 else ("corral", "fifo")
        for load in loads:
            for queue in order:
                yield Plan(
                    queue=queue,
                    load=load,
                    round=round_number,
                    loads={"light": light, "flood": load - light},
                    seconds=seconds,
                    warm_up_s=warm_up_s,
                )


def run(pool: Pool, plan: Plan, capacity: Capacity) -> Block:
    """Run one block; the same seed for both queues, so that they are asked the same."""
    pool.tape()  # what was before is another's
    before, cpu_before, began_s = cpu_times(), pool.cpu_s(), time.monotonic()
    answers = asyncio.run(_load(pool, plan, capacity))
    ended_s, cpu_after = time.monotonic(), pool.cpu_s()
    until_s = min(ended_s, began_s + plan.seconds)
    tape = pool.tape()
    return Block(
        plan=plan,
        capacity=capacity,
        from_s=began_s + plan.warm_up_s,
        until_s=until_s,
        answers=answers,
        stories=stories(tape, answers),
        tape=tape,
        cpu_share={part: (cpu_after[part] - spent) / (ended_s - began_s) for part, spent in cpu_before.items()},
        steal_percent=steal_percent(before, cpu_times()),
    )


async def _load(pool: Pool, plan: Plan, capacity: Capacity) -> list[Answered]:
    seed = round(plan.load * 100) + 1000 * plan.round
    due = schedule(capacity.rates(plan.loads), plan.seconds, seed)
    async with clients(pool) as callers:
        return await callers.run(due, plan.seconds)
