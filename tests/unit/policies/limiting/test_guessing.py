"""Invariant: in any window a network gets at most twice `limit` 401s, and another network is not touched."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import RateLimited
from policies.limiting.guessing import Guessing, guess_network

HERE = ip_address("192.0.2.7")
ELSEWHERE = ip_address("198.51.100.7")


def fail(guessing: Guessing, now_s: float, address=HERE) -> None:
    guessing.charge_failure(guessing.read(address, ns(now_s)), ns(now_s))


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def test_networks():
    assert str(guess_network(HERE)) == "192.0.2.0/24"
    assert str(guess_network(ip_address("2001:db8:1:2ff::9"))) == "2001:db8:1:200::/56"


def test_the_bound_is_reached_and_frees_again():
    guessing = Guessing(3)
    for _ in range(3):
        fail(guessing, 100.0)
    with pytest.raises(RateLimited) as refused:
        fail(guessing, 100.0)
    assert (refused.value.reason, refused.value.limit) == ("guessing", "failed credentials from your network")
    assert refused.value.retry_after_s == pytest.approx(20.0)
    fail(guessing, 120.0)
    with pytest.raises(RateLimited):
        fail(guessing, 120.0)


def test_trying_on_does_not_move_the_time_to_come_back():
    guessing = Guessing(1)
    fail(guessing, 0.0)
    for now_s in (1.0, 2.0, 30.0):
        with pytest.raises(RateLimited) as refused:
            fail(guessing, now_s)
        assert refused.value.retry_after_s == pytest.approx(60.0 - now_s)
    fail(guessing, 60.0)


def test_neighbours_share_and_others_do_not():
    guessing = Guessing(1)
    fail(guessing, 0.0)
    with pytest.raises(RateLimited):
        fail(guessing, 0.0, ip_address("192.0.2.200"))
    fail(guessing, 0.0, ELSEWHERE)


def test_reading_tells_what_is_left_and_changes_nothing():
    guessing = Guessing(3)
    assert [guessing.read(HERE, ns(0.0)).failures_left for _ in range(5)] == [3] * 5
    fail(guessing, 0.0)
    assert guessing.read(HERE, ns(0.0)).failures_left == 2
    assert guessing.read(HERE, ns(20.0)).failures_left == 3
    assert guessing.read(HERE, ns(1000.0)).failures_left == 3


def test_memory_is_bounded_and_the_oldest_failure_goes_first():
    guessing = Guessing(1, max_networks=2)
    fail(guessing, 0.0)
    fail(guessing, 0.0, ELSEWHERE)
    with pytest.raises(RateLimited):
        fail(guessing, 0.0)  # HERE failed last
    fail(guessing, 0.0, ip_address("203.0.113.1"))
    assert guessing.read(HERE, ns(0.0)).failures_left == 0
    assert guessing.read(ELSEWHERE, ns(0.0)).failures_left == 1


@pytest.mark.parametrize(("per_minute", "networks"), [(0, 1), (-1, 1), (1, 0)])
def test_bounds_that_bound_nothing(per_minute, networks):
    with pytest.raises(ValueError, match="above 0"):
        Guessing(per_minute, networks)


@given(st.integers(1, 50), st.lists(st.integers(0, 10_000_000_000), max_size=200), st.integers(0, 10**18))
def test_never_more_than_the_bound_and_what_is_read_is_kept(per_minute, gaps_ns, now_ns):
    guessing = Guessing(per_minute)
    taken: list[int] = []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        allowance = guessing.read(HERE, now_ns)
        if allowance.failures_left:
            guessing.charge_failure(allowance, now_ns)
            taken.append(now_ns)
        else:
            with pytest.raises(RateLimited) as refused:
                guessing.charge_failure(allowance, now_ns)
            assert 0 < refused.value.retry_after_s <= 61
    for first_ns in taken:
        assert sum(first_ns <= at_ns <= first_ns + 60_000_000_000 for at_ns in taken) <= 2 * per_minute


def test_another_bound_counts_from_now_on():
    guessing = Guessing(2)
    fail(guessing, 0.0)
    assert guessing.read(HERE, 0).failures_left == 1
    guessing.relimit(60)
    assert guessing.read(HERE, 0).failures_left == 30
    guessing.relimit(1)
    with pytest.raises(RateLimited):
        fail(guessing, 0.0)
    with pytest.raises(ValueError, match="above 0"):
        guessing.relimit(0)
