"""Invariant: in any window a network gets at most twice `limit` 401s, and another network is not touched."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import RateLimited
from policies.guessing import Guessing, guess_network

HERE = ip_address("192.0.2.7")
ELSEWHERE = ip_address("198.51.100.7")


def fail(guessing: Guessing, now_s: float, address=HERE) -> None:
    guessing.charge_failure(guessing.read(address, now_s), now_s)


def test_networks():
    assert str(guess_network(HERE)) == "192.0.2.0/24"
    assert str(guess_network(ip_address("2001:db8:1:2ff::9"))) == "2001:db8:1:200::/56"


def test_the_bound_is_reached_and_frees_again():
    guessing = Guessing(limit=3, window_s=60)
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
    guessing = Guessing(limit=1, window_s=60)
    fail(guessing, 0.0)
    for now_s in (1.0, 2.0, 30.0):
        with pytest.raises(RateLimited) as refused:
            fail(guessing, now_s)
        assert refused.value.retry_after_s == pytest.approx(60.0 - now_s)
    fail(guessing, 60.0)


def test_neighbours_share_and_others_do_not():
    guessing = Guessing(limit=1, window_s=60)
    fail(guessing, 0.0)
    with pytest.raises(RateLimited):
        fail(guessing, 0.0, ip_address("192.0.2.200"))
    fail(guessing, 0.0, ELSEWHERE)


def test_reading_tells_what_is_left_and_changes_nothing():
    guessing = Guessing(limit=3, window_s=60)
    assert [guessing.read(HERE, 0.0).failures_left for _ in range(5)] == [3] * 5
    fail(guessing, 0.0)
    assert guessing.read(HERE, 0.0).failures_left == 2
    assert guessing.read(HERE, 20.0).failures_left == 3
    assert guessing.read(HERE, 1000.0).failures_left == 3


def test_memory_is_bounded_and_the_oldest_failure_goes_first():
    guessing = Guessing(limit=1, window_s=60, max_networks=2)
    fail(guessing, 0.0)
    fail(guessing, 0.0, ELSEWHERE)
    with pytest.raises(RateLimited):
        fail(guessing, 0.0)  # HERE failed last
    fail(guessing, 0.0, ip_address("203.0.113.1"))
    assert guessing.read(HERE, 0.0).failures_left == 0
    assert guessing.read(ELSEWHERE, 0.0).failures_left == 1


@pytest.mark.parametrize(("limit", "window_s", "networks"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, float("nan"), 1)])
def test_bounds_that_bound_nothing(limit, window_s, networks):
    with pytest.raises(ValueError, match="above 0"):
        Guessing(limit, window_s, networks)


@given(st.integers(1, 50), st.floats(0.1, 1e4), st.lists(st.floats(0, 100), max_size=200), st.floats(0, 1e6))
def test_never_more_than_the_bound_and_what_is_read_is_kept(limit, window_s, gaps_s, start_s):
    guessing = Guessing(limit, window_s)
    now_s = start_s
    taken: list[float] = []
    for gap_s in gaps_s:
        now_s += gap_s * window_s / 1000
        if guessing.read(HERE, now_s).failures_left:
            fail(guessing, now_s)
            taken.append(now_s)
        else:
            with pytest.raises(RateLimited) as refused:
                fail(guessing, now_s)
            assert 0 < refused.value.retry_after_s <= window_s
    for first_s in taken:
        assert sum(first_s <= at_s <= first_s + window_s for at_s in taken) <= 2 * limit + 1


def test_another_bound_counts_from_now_on():
    guessing = Guessing(2, 60.0)
    address = HERE
    guessing.charge_failure(guessing.read(address, 0.0), 0.0)
    assert guessing.read(address, 0.0).failures_left == 1
    guessing.relimit(60)
    assert guessing.read(address, 0.0).failures_left == 30
    with pytest.raises(ValueError, match="above 0"):
        guessing.relimit(0)
