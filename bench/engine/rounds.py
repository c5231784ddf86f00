"""In which order everything runs, and how many rounds there are.

Rules:
 1. A round runs every load once by every way that takes it; its prompts are the same for all ways.
 2. Within a round loads come in random order, and the ways of one load right after each other, in random order: what
    slows the machine for a minute slows all that are compared.
 3. There are at least `LEAST_ROUNDS`; another one begins only if one as long as the longest so far fits into the time.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

LEAST_ROUNDS = 2

Way = TypeVar("Way")
Load = TypeVar("Load")


def order(pairs: Sequence[tuple[Load, Sequence[Way]]], number: int) -> list[tuple[Load, Way]]:
    """Round `number` of every load with the ways that take it."""
    source = random.Random(f"round {number}")
    return [
        (load, way) for load, ways in source.sample(pairs, len(pairs)) for way in source.sample(list(ways), len(ways))
    ]


def another(rounds_s: Sequence[float], limit_s: float) -> bool:
    """Whether a round is to follow those that took `rounds_s` seconds, when all may take `limit_s`."""
    if len(rounds_s) < LEAST_ROUNDS:
        return True
    return sum(rounds_s) + max(rounds_s) <= limit_s
