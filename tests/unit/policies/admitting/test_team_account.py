"""One team's account: its lines by deadline, its counter, what it asked for."""

import math

import pytest

from policies.admitting.effects import Forecast
from policies.admitting.team_account import Line, TeamAccount, Waiting, deadline_of
from policies.admitting.tuning import Tuning
from tests.unit.policies.queue_driver import OTHER, POOL, ticket

HERE = frozenset({POOL})


def waiting(number: int, cost_s: float = 1.0, **terms: object) -> Waiting:
    return Waiting(ticket(number, **terms), cost_s)


def account() -> TeamAccount:
    return TeamAccount("a", Tuning())


def test_a_deadline_is_the_earlier_of_promise_and_patience_as_far_as_enforced() -> None:
    assert deadline_of(ticket(1)) == math.inf
    assert deadline_of(ticket(1, arrived_s=5.0, promise_s=3.0)) == 8.0
    assert deadline_of(ticket(1, arrived_s=5.0, promise_s=3.0, expires_s=7.0)) == 7.0
    assert deadline_of(ticket(1, arrived_s=5.0, promise_s=3.0, enforced=False)) == math.inf
    assert deadline_of(ticket(1, promise_s=3.0, enforced=False, expires_s=9.0)) == 9.0


def test_who_kept_a_booking_stands_by_when_it_first_asked() -> None:
    late = Waiting(ticket(2, arrived_s=100.0, promise_s=10.0), asked_s=50.0)
    assert late.order < Waiting(ticket(1, arrived_s=60.0, promise_s=10.0)).order
    assert late.deadline_s == 110.0, "the promise itself counts from its coming"


def test_a_line_keeps_its_order_and_its_sum() -> None:
    line = Line()
    for number, promise_s in ((1, 9.0), (2, None), (3, 5.0)):
        line.add(waiting(number, float(number), promise_s=promise_s))
    assert [each.ticket.id for each in line] == [3, 1, 2]
    assert (line.head().ticket.id, len(line), line.cost_s) == (3, 3, 6.0)
    assert line.before(waiting(4, promise_s=7.0).order) == (1, 3.0)
    assert line.before(waiting(4).order) == (3, 6.0)
    line.remove(waiting(1, 1.0, promise_s=9.0))
    assert (len(line), line.cost_s) == (2, 5.0)


def test_an_empty_line_costs_nothing_however_the_sum_was_rounded() -> None:
    line = Line()
    for number in range(10):
        line.add(waiting(number, 0.1))
    for number in range(10):
        line.remove(waiting(number, 0.1))
    assert line.cost_s == 0.0


def test_it_is_in_a_band_and_domain_while_it_waits_or_runs_there() -> None:
    team = account()
    assert not team.is_active()
    team.add(waiting(1, 2.0, band="low"))
    team.add(waiting(2, 3.0, band="high", model="n"))
    assert team.is_active()
    assert team.is_in("low", HERE)
    assert not team.is_in("high", HERE)
    assert team.waiting() == 2
    assert (team.backlog_s("low", HERE), team.backlog_s("high", HERE)) == (2.0, 0.0)
    team.remove(waiting(1, 2.0, band="low"))
    assert not team.waits_in("low", HERE)
    team.started(ticket(1, band="low"))
    team.started(ticket(3, band="low"))
    assert team.is_in("low", HERE)
    team.stopped(ticket(1, band="low"))
    team.stopped(ticket(3, band="low"))
    assert not team.is_in("low", HERE)
    assert team.is_in("high", frozenset({OTHER}))


def test_lines_are_kept_only_where_somebody_waits() -> None:
    team = account()
    first, second = waiting(1), waiting(2)
    team.add(first)
    team.add(second)
    assert team.line_of(ticket(3)) is not None
    team.remove(first)
    team.remove(second)
    assert team.line_of(ticket(3)) is None
    assert team.lines == {}


def test_the_counter_is_what_was_charged_over_the_weight() -> None:
    team = account()
    team.weight = 2.0
    team.charge(10.0, 0.0)
    team.charge(-4.0, 0.0)
    assert team.counter == 3.0


def test_demand_is_the_slots_that_recent_requests_would_keep_busy() -> None:
    team = account()
    for second in range(600):
        team.asked(POOL, 2.0, float(second))
    team.asked(OTHER, 100.0, 600.0)
    assert team.demand(HERE, 600.0) == pytest.approx(2.0, rel=0.05)
    assert team.demand(HERE, 10_000.0) == pytest.approx(0.0, abs=1e-6)


def test_waits_are_compared_with_what_was_predicted() -> None:
    team, told = account(), Waiting(ticket(1), forecast=Forecast(raw_s=2.0, wait_s=2.0, likely_s=3.0))
    before = team.quantiles(POOL).likely_s(2.0)
    team.learn_wait(told, 2.5, 0.7, 0.0)
    assert team.quantiles(POOL).likely_s(2.0) < before
    assert (team.actual_wait.mean(), team.covered.mean(), team.ratio.mean()) == (2.5, 1.0, 1.25)
    team.learn_wait(Waiting(ticket(2)), 5.0, 0.7, 0.0)
    assert team.actual_wait.mean() == 2.5, "for it nothing was predicted"


def test_to_ask_for_the_factors_leaves_nothing_behind() -> None:
    team = account()
    team.quantiles(POOL)
    assert team._quantiles == {}
