"""Every fuzz target, briefly and repeatably; `make fuzz` runs them for as long as one likes."""

import random

import pytest

from fuzz.mutation import MAX_BYTES, mutate
from fuzz.targets import load_target, target_names

pytestmark = pytest.mark.slow

INPUTS = 1_500


@pytest.mark.parametrize("name", target_names())
def test_no_input_breaks_the_invariant(name: str) -> None:
    target = load_target(name)
    for seed in target.seeds:
        target.one(seed)
    draw = random.Random(name)
    for _ in range(INPUTS):
        target.one(mutate(draw.choice(target.seeds), draw))


def test_mutation_changes_and_stays_within_bounds() -> None:
    draw = random.Random(1)
    results = {mutate(b"abc" * 100, draw) for _ in range(200)}
    assert len(results) > 150
    assert max(map(len, results)) <= MAX_BYTES
