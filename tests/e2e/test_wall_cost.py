"""The proof of what the walls cost, in its least size: one worker is walled, one is not, and both do the same work."""

import math
from pathlib import Path

import pytest

from bench.proofs.walls import STREAMS, Size, measure

pytestmark = pytest.mark.e2e


def test_both_workers_do_the_same_work_and_only_one_stands_behind_filters(model_file: Path) -> None:
    figures = measure(Size(rounds=2, output_tokens=8), model_file)

    assert figures["seccomp_filters"] == {"walled": 2, "open": 0}
    assert figures["tokens"]["walled"] == figures["tokens"]["open"] <= 2 * STREAMS * 8
    assert figures["tokens"]["walled"] > 0
    for ratio in (figures["tokens_per_s_ratio"], figures["tokens_per_cpu_s_ratio"]):
        assert 0 <= ratio["low"] <= ratio["mean"] <= ratio["high"] < math.inf  # 0.0: two rounds far apart, rounded
