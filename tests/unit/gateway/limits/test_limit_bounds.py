"""For any schedule admitted(t, t + W) <= burst + rate * W: the small size of `make prove P=limits`."""

import pytest

from bench.proofs.limits import Ledger, prove_jumps, prove_schedule
from policies.limiting.rate_limit import NS_PER_MINUTE, Rate


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_window_holds_more(seed: int) -> None:
    found = prove_schedule(5_000, seed)
    assert found["steps"] == 5_000
    assert min(found["admitted"], found["refused"], found["came_back"], found["settled"]) > 100
    assert found["fullest_ppm"] > 900_000  # the limit was really reached


def test_clock_jumps_of_an_hour_lock_nobody_out() -> None:
    assert prove_jumps(1_000, 1)["longest_wait_ms"] > 1_000


def test_the_judge_sees_one_too_many() -> None:
    in_time = Ledger(Rate(60, 2), [[0, 1], [0, 1], [NS_PER_MINUTE // 60, 1]])
    assert in_time.judge() == 1_000_000
    too_soon = Ledger(Rate(60, 2), [[0, 1], [0, 1], [NS_PER_MINUTE // 60 - 1, 1]])
    with pytest.raises(AssertionError):
        too_soon.judge()
    with pytest.raises(AssertionError):
        Ledger(Rate(9, 9), [[0, 5], [NS_PER_MINUTE - 1, 5]]).judge_minutes()
    Ledger(Rate(9, 9), [[0, 5], [NS_PER_MINUTE, 5]]).judge_minutes()
