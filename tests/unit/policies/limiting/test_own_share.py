"""One gateway's own share: it begins empty, fills at rate / N, and what cannot be divided is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PolicyUnavailable
from policies.limiting import own_share
from policies.limiting.limit_decision import NEVER, NS
from policies.limiting.limits import ConcurrencyClaim, RateClaim, Used
from policies.limiting.own_share import OwnShare
from policies.limiting.rate_limit import Conforming, Rate, gcra

A = RateClaim("requests:a", Rate(60, 6))
PROMPT = RateClaim("prompt_tokens:a", Rate(300, 300), 40, unit="prompt_tokens")
SINCE_NS = 1_000 * NS


def test_nothing_fits_before_it_begins_and_the_first_after_one_interval() -> None:
    share = OwnShare(2, SINCE_NS)
    assert share.decide(A, SINCE_NS - NS).wait_s == 3.0
    assert share.decide(A, SINCE_NS).wait_s == 2.0
    found = share.decide(A, SINCE_NS + 2 * NS)
    assert (found.wait_s, found.standing.remaining, found.standing.reset_s) == (0, 0, 6.0)


def test_a_full_bucket_holds_its_part_of_the_burst() -> None:
    share, now_ns = OwnShare(2, SINCE_NS), SINCE_NS + 3600 * NS
    for left in (2, 1, 0):
        found = share.decide(A, now_ns)
        assert (found.wait_s, found.standing.remaining) == (0, left)
        share.charge(found, now_ns)
    assert share.decide(A, now_ns).wait_s == 2.0
    assert [claim for claim, _ in share.touched()] == [A]


@given(
    size=st.integers(1, 4),
    rate=st.sampled_from([Rate(60, 6), Rate(7, 5), Rate(6_000, 100)]),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**10)), max_size=60),
)
def test_all_shares_together_keep_within_the_rate(size: int, rate: Rate, steps: list[tuple[int, int]]) -> None:
    shares = [OwnShare(size, SINCE_NS) for _ in range(size)]
    claim, now_ns, tat_ns = RateClaim("requests:a", rate), SINCE_NS, None
    for who, passed_ns in steps:
        now_ns += passed_ns
        share = shares[who % size]
        while not (found := share.decide(claim, now_ns)).wait_s:
            share.charge(found, now_ns)
            together = gcra(rate, tat_ns, now_ns)
            assert isinstance(together, Conforming)
            tat_ns = together.tat_ns
        waited = share.decide(claim, now_ns + round(found.wait_s * NS) + 1)
        assert waited.wait_s == 0


def test_what_cannot_be_divided_is_refused() -> None:
    share = OwnShare(4, SINCE_NS)
    for claim in (RateClaim("requests:b", Rate(60, 3)), RateClaim("p", Rate(100, 100), 26, unit="prompt_tokens")):
        with pytest.raises(PolicyUnavailable, match="limits_away_small"):
            share.decide(claim, SINCE_NS)
    beyond = RateClaim("p", Rate(100, 100), 101, unit="prompt_tokens")
    assert share.decide(beyond, SINCE_NS).wait_s == NEVER


def test_tokens_begin_used_up_for_a_minute() -> None:
    share = OwnShare(3, SINCE_NS)
    assert share.decide(PROMPT, SINCE_NS + 60 * NS).wait_s == 1.0
    now_ns = SINCE_NS + 61 * NS
    for _ in range(2):
        share.charge(share.decide(PROMPT, now_ns), now_ns)
    assert share.decide(PROMPT, now_ns).wait_s == 61.0
    assert list(share.touched()) == [(PROMPT, {1061: 80})]
    later_ns = now_ns + 62 * NS
    share.charge(share.decide(PROMPT, later_ns), later_ns)
    assert list(share.touched()) == [(PROMPT, {1123: 40})]


def test_settling_gives_back_what_was_charged_here() -> None:
    share, now_ns = OwnShare(3, SINCE_NS), SINCE_NS + 61 * NS
    share.charge(share.decide(PROMPT, now_ns), now_ns)
    share.settle((PROMPT, A), Used(prompt_tokens=15), 1061, now_ns)
    assert list(share.touched()) == [(PROMPT, {1061: 15})]


def test_places_are_divided_and_never_none() -> None:
    assert OwnShare(4, 0).places(ConcurrencyClaim("c", 9)) == 2
    assert OwnShare(4, 0).places(ConcurrencyClaim("c", 2)) == 1


def test_memory_is_bounded_and_nothing_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_share, "MAX_TOUCHED", 1)
    share, now_ns = OwnShare(1, SINCE_NS), SINCE_NS + 60 * NS
    share.charge(share.decide(A, now_ns), now_ns)
    share.charge(share.decide(A, now_ns), now_ns)
    with pytest.raises(PolicyUnavailable, match="limits_away_full"):
        share.decide(PROMPT, now_ns)
