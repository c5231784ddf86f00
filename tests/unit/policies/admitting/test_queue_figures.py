"""The figures for operators and for capacity planning."""

import pytest

from policies.admitting.queue_figures import PoolFigures, Spread
from tests.unit.policies.queue_driver import Driver, facts, ticket


def test_a_spread_has_a_mean_and_a_coefficient_of_variation() -> None:
    spread = Spread()
    assert (spread.mean, spread.cv2, spread.count) == (0.0, 0.0, 0.0)
    for number in range(100):
        spread.add((1.0, 3.0)[number % 2], float(number))
    assert spread.mean == pytest.approx(2.0, rel=0.02)
    assert spread.cv2 == pytest.approx(0.25, rel=0.05)
    assert 90 < spread.count <= 100


@pytest.mark.parametrize("seconds", [100, 600, 5_000])
def test_arrivals_are_counted_right_from_the_first_minute_on(seconds: int) -> None:
    figures = PoolFigures()
    assert figures.arrivals_per_s(0.0) == 0.0
    for number in range(seconds * 2):
        figures.arrived(ticket(number), 1_000.0 + number / 2)
    assert figures.arrivals_per_s(1_000.0 + seconds) == pytest.approx(2.0, rel=0.02)
    assert figures.gaps.mean == pytest.approx(0.5)
    assert PoolFigures().arrivals_per_s(5.0) == 0.0


def test_the_tightest_promise_asked_for_is_kept() -> None:
    figures = PoolFigures()
    for promise_s in (None, 10.0, 5.0, 20.0):
        figures.arrived(ticket(1, promise_s=promise_s), 0.0)
    assert figures.promise_s == 5.0


def test_a_queue_that_saw_nothing_has_nothing_to_show() -> None:
    view = Driver().queue.view(0.0)
    assert (view.teams, view.pools, view.targets, view.waiting) == ((), (), (), 0)


def test_teams_pools_and_targets_are_shown() -> None:
    driver = Driver(facts(slots=2))
    first = driver.arrive("a", weight=3.0, prompt_tokens=120)
    for team in "aab":
        driver.arrive(team, weight=3.0 if team == "a" else 1.0)
    driver.end(first, output_tokens=100, after_s=2.0, cached_tokens=20)
    view = driver.queue.view(driver.now_s)
    a, b = view.teams
    assert (a.name, a.waiting, a.running, b.waiting, b.running) == ("a", 1, 1, 0, 1)
    assert (a.due, b.due) == (0.75, 0.25)
    assert a.share + b.share == pytest.approx(1.0)
    assert a.backlog_slot_s > 0
    assert a.predicted_wait_s > 0
    assert a.p90_wait_s > a.predicted_wait_s
    assert min(a.counter, b.counter) == 0.0
    [pool] = view.pools
    assert (pool.model, pool.waiting, pool.running, pool.slots) == ("m", 1, 2, 2)
    assert (pool.prompt_tokens, pool.output_tokens, pool.service_s) == (100.0, 100.0, 2.0)
    [target] = view.targets
    assert (target.id, target.slots, target.running, target.ready) == ("w", 2, 2, True)
    assert (view.waiting, view.running, view.admitted) == (1, 2, 3)


def test_refusals_are_counted_the_late_ones_apart() -> None:
    driver = Driver(facts())
    driver.arrive()
    driver.arrive(promise_s=20.0)
    driver.arrive(expires_s=driver.now_s)
    driver.tick(20.0)
    view = driver.queue.view(driver.now_s)
    assert (view.refused, view.refused_late) == (2, 1)


def test_a_team_that_is_gone_for_long_is_shown_no_more() -> None:
    driver = Driver(facts())
    driver.end(driver.arrive("a"), after_s=1.0)
    assert len(driver.queue.view(driver.now_s).teams) == 1
    assert driver.queue.view(driver.now_s + 100_000.0).teams == ()


def test_a_newcomer_of_a_team_without_work_is_told_of_the_pool_that_is_asked_most() -> None:
    driver = Driver(facts("w"), facts("x", pools=(("n", "", "chat"),)))
    driver.end(driver.arrive("a"), after_s=1.0)
    for _ in range(4):
        driver.arrive("b", model="n")
    a = next(each for each in driver.queue.view(driver.now_s).teams if each.name == "a")
    assert a.predicted_wait_s > 0


def test_a_team_known_only_by_what_it_was_charged_is_told_nothing_where_no_pool_is() -> None:
    driver = Driver(facts())
    driver.queue._known.accounts["a"] = driver.queue._known.account(ticket(1, "a"))
    driver.account("a").charge(5.0, driver.now_s)
    [team] = driver.queue.view(driver.now_s).teams
    assert (team.predicted_wait_s, team.share) == (0.0, 1.0)
    driver.account("a").charge(-5.0 + 0.02, driver.now_s)
    assert driver.queue.view(driver.now_s).teams[0].share == 1.0
