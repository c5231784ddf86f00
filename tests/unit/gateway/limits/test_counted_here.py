"""Claims on one gateway's own share: all or none, told as ever, and handed over on return."""

import pytest
from msgspec import structs

from gateway.limits.counted_here import CountedHere
from gateway.limits.held_reservations import HeldReservations
from gateway.limits.store_keys import added, emptied
from policies.errors import BeyondLimit, PolicyUnavailable, RateLimited
from policies.limiting.limits import BudgetClaim, Claims, ConcurrencyClaim, RateClaim, Reservation, Used
from policies.limiting.own_share import OwnShare
from policies.limiting.rate_limit import Rate
from tests.fakes import ManualClock

REQUESTS = RateClaim("requests:a", Rate(60, 4))
PROMPT = RateClaim("prompt_tokens:a", Rate(200, 200), 60, unit="prompt_tokens")
PLACE = ConcurrencyClaim("concurrent:a", 2)
DAY = BudgetClaim("day:a", 100, 1, "day")


class Scene:
    """One of two gateways whose share is full."""

    def __init__(self) -> None:
        self.clock, self.held = ManualClock(), HeldReservations()
        self.here = CountedHere(OwnShare(2, self.clock.mono_ns()), self.held, self.clock)
        self.clock.move(120)

    def reserve(self, claims: Claims) -> Reservation:
        return self.held.hold(self.here.reserve(Reservation("asked", claims, unix_s=7)))


def test_rates_are_taken_from_the_share() -> None:
    at = Scene()
    for remaining in (1, 0):
        assert at.here.take((REQUESTS,)).standings[0].remaining == remaining
    with pytest.raises(RateLimited) as refused:
        at.here.take((REQUESTS,))
    assert refused.value.retry_after_s == 2.0
    report = structs.replace(REQUESTS, report=True)
    assert at.here.take((report,)).would_refuse == ("rate_limited_key",)


def test_what_has_no_share_is_refused_unless_it_only_reports() -> None:
    at = Scene()
    small = RateClaim("requests:b", Rate(60, 1))
    with pytest.raises(PolicyUnavailable, match="limits_away_small"):
        at.here.take((REQUESTS, small))
    assert len(at.here.take((REQUESTS, structs.replace(small, report=True))).standings) == 1
    with pytest.raises(BeyondLimit):
        at.here.take((structs.replace(PROMPT, cost=201),))


def test_a_reservation_is_all_or_none() -> None:
    at = Scene()
    held = at.reserve(Claims((PROMPT,), (PLACE,), (structs.replace(DAY, report=True),)))
    assert (held.id, held.claims, held.unix_s) == ("asked", Claims((PROMPT,), (PLACE,)), 7)
    with pytest.raises(RateLimited):
        at.reserve(Claims((REQUESTS,), (PLACE,)))
    assert at.here.take((REQUESTS,)).standings[0].remaining == 1
    with pytest.raises(PolicyUnavailable, match="budgets_away"):
        at.reserve(Claims(budgets=(DAY,)))


def test_what_was_charged_is_handed_over() -> None:
    at = Scene()
    at.here.take((REQUESTS,))
    held = at.reserve(Claims((PROMPT,)))
    at.here.settle(held, Used(prompt_tokens=50))
    at.clock.move(3)
    assert at.here.brought() == [emptied(REQUESTS), *added(PROMPT, {held.second: 50}, held.second + 3)]
