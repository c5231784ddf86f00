"""What the pool can serve: each team's requests alone, with every slot busy, requests a second.

A load of 1 is that much of one team, or parts of several that add up to 1. It is measured with care once, from
requests whose prompts' lengths are spread evenly over all that occur; after that a short list, the same each time,
tells how much faster or slower the machine has become.
"""

import random
import time
from dataclasses import dataclass
from typing import Any

from bench.pool_admission.load import clients
from bench.pool_admission.site import SLOTS, Pool
from bench.pool_admission.workload import SHAPES, Asked

PACE_PART = 2
OUTPUT_WORK = 4.0
"""Prompt tokens that cost as much as one output token with all slots busy (7.8 ms against 1.9 ms on one core)."""
AT_ONCE = SLOTS + 2
"""So that a slot that comes free is taken at once."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Requests a second of each team alone, and the seconds each of them holds a slot then."""

    per_s: dict[str, float]

    def rates(self, loads: dict[str, float]) -> dict[str, float]:
        """Arrivals a second that make these loads."""
        return {team: load * self.per_s[team] for team, load in loads.items()}

    def hold_s(self, team: str) -> float:
        """Mean seconds that a request holds its slot when all are busy (Little's law)."""
        return SLOTS / self.per_s[team]


def sample(team: str, count: int, part: int = 0) -> list[Asked]:
    """`count` requests of `team`, always the same ones for the same `part`."""
    return SHAPES[team].spread(random.Random(f"capacity {team} {part}"), count)


async def per_second(pool: Pool, asked: list[Asked]) -> float:
    """Requests a second with all slots busy: counted between the ends of the first and the last few."""
    async with clients(pool) as callers:
        answers = await callers.together(asked, AT_ONCE)
    return rate_of(sorted(answer.end_s for answer in answers if answer.end_s is not None))


def rate_of(ends_s: list[float]) -> float:
    """Ends a second, from when the last of the first batch ended to when slots began to stay empty."""
    first, last = SLOTS, len(ends_s) - SLOTS
    return (last - first) / (ends_s[last] - ends_s[first])


async def measured(pool: Pool, counts: dict[str, int]) -> Capacity:
    """All teams' capacity in `pool`, from `counts` requests of each."""
    return Capacity({team: await per_second(pool, sample(team, count)) for team, count in counts.items()})


async def pace(pool: Pool, counts: dict[str, int]) -> float:
    """Work a second, in prompt tokens, while the pool serves one list of requests of all teams, always the same one.

    The prompts are the same each time, the answers are not quite: so tokens are counted and not requests.
    """
    asked = [each for team, count in counts.items() for each in sample(team, count, PACE_PART)]
    random.Random(PACE_PART).shuffle(asked)
    pool.tape()  # what was before is another's
    began_s = time.monotonic()
    async with clients(pool) as callers:
        await callers.together(asked, AT_ONCE)
    elapsed_s = time.monotonic() - began_s
    return sum(work_of(line) for line in pool.tape() if line["kind"] == "ended") / elapsed_s


def work_of(ended: dict[str, Any]) -> float:
    """The work of a request that ended, in prompt tokens."""
    return float(ended["prompt"] - ended["cached"] + OUTPUT_WORK * ended["output"])


def moved(first: Capacity, factor: float) -> Capacity:
    """A measurement of before, at a pace that is `factor` times as fast."""
    return Capacity({team: rate * factor for team, rate in first.per_s.items()})
