"""Buckets are forgotten when they are as if never used, and never before."""

import pytest

from gateway.limits import rate_buckets
from gateway.limits.rate_buckets import RateBuckets
from policies.errors import PolicyUnavailable
from policies.limiting.limits import RateClaim, Used
from policies.limiting.rate_limit import Rate
from tests.fakes import NS, ManualClock


def take(buckets: RateBuckets, *claims: RateClaim) -> list[float]:
    verdicts = buckets.decide(claims)
    buckets.charge(verdicts, frozenset())
    return [verdict.decided.wait_s for verdict in verdicts]


def requests(name: str) -> RateClaim:
    return RateClaim(name, Rate(1, 1))


def test_full_buckets_are_swept_out_and_used_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_buckets, "FIRST_SWEEP", 4)
    clock = ManualClock()
    buckets = RateBuckets(clock)
    buckets._sweep_at = 4
    for name in ("a", "b"):
        take(buckets, requests(name))
    take(buckets, RateClaim("w", Rate(9, 9), 9, unit="output_tokens"))
    clock.move(45.0)
    take(buckets, requests("c"))
    clock.move(20.0)
    take(buckets, requests("d"))
    assert set(buckets._tats_ns) == {"c", "d"}
    assert buckets._slots == {}
    assert take(buckets, requests("c")) != [0.0]


def test_beyond_the_bound_nothing_is_forgotten_but_the_request_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_buckets, "MAX_BUCKETS", 3)
    monkeypatch.setattr(rate_buckets, "FIRST_SWEEP", 1)
    clock = ManualClock()
    buckets = RateBuckets(clock)
    buckets._sweep_at = 1
    for name in "abc":
        take(buckets, requests(name))
    with pytest.raises(PolicyUnavailable):
        take(buckets, requests("d"))
    clock.move(60.0)
    assert take(buckets, requests("d")) == [0.0]


def test_a_clock_set_back_by_an_hour_locks_nobody_out() -> None:
    clock = ManualClock()
    clock.move(9999.0)
    buckets = RateBuckets(clock)
    words = RateClaim("w", Rate(9, 9), 9, unit="output_tokens")
    take(buckets, requests("a"), words)
    clock.move(-3600.0)
    assert take(buckets, requests("a"), words) == [60.0, 61.0]
    clock.move(61.0)
    assert take(buckets, requests("a"), words) == [0.0, 0.0]


def test_settling_needs_no_bucket_left_and_leaves_requests_alone() -> None:
    clock = ManualClock()
    buckets = RateBuckets(clock)
    assert buckets.second() == clock.now_ns // NS
    buckets.settle((requests("a"), RateClaim("w", Rate(9, 9), 9, unit="output_tokens")), Used(), 5)
    assert (buckets._tats_ns, buckets._slots) == ({}, {"w": {}})
