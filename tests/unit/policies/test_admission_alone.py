"""Requests that must run alone: rule (9) of the queue, and rules (1) to (4) of `lone_row`."""

import pytest

from policies.admitting.events import Resumed
from policies.admitting.lone_row import EMPTYING_S
from tests.unit.policies.queue_driver import OTHER, POOL, Driver, facts, ticket


def target_of(driver: Driver, number: int) -> str:
    return driver.running[number][1]


def test_on_an_empty_target_it_runs_at_once_and_nobody_beside_it() -> None:
    driver = Driver(facts("w", 4))
    alone, other = driver.arrive(alone=True), driver.arrive("b")
    assert set(driver.running) == {alone}
    assert driver.queue.targets()[0].kept
    driver.end(alone, after_s=1.0)
    assert set(driver.running) == {other}
    assert not driver.queue.targets()[0].kept


def test_it_waits_until_what_runs_there_has_ended_and_nothing_new_starts_meanwhile() -> None:
    driver = Driver(facts("w", 4))
    first, second = driver.arrive(), driver.arrive()
    alone = driver.arrive(alone=True)
    newcomer = driver.arrive("b")
    assert driver.queue.position(alone) == 1
    driver.end(first, after_s=1.0)
    assert set(driver.running) == {second}
    driver.end(second, after_s=1.0)
    assert set(driver.running) == {alone}
    driver.end(alone, after_s=1.0)
    assert set(driver.running) == {newcomer}


def test_the_least_busy_target_is_emptied_and_the_other_goes_on_with_the_same_teams_work() -> None:
    driver = Driver(facts("w", 2), facts("x", 3))
    busy = [driver.arrive() for _ in range(3)]  # two on x, which has more room, one on w
    alone = driver.arrive(alone=True)
    behind = driver.arrive()
    assert target_of(driver, behind) == "x"
    assert alone in driver.waiting
    for number in busy:
        if target_of(driver, number) == "w":
            driver.end(number, after_s=1.0)
    assert target_of(driver, alone) == "w"


def test_several_share_one_target_and_go_one_after_the_other() -> None:
    driver = Driver(facts("w", 2), facts("x", 2))
    ordinary = [driver.arrive(), driver.arrive()]  # one on each
    alone = [driver.arrive(alone=True) for _ in range(3)]
    kept = [each.id for each in driver.queue.targets() if each.kept]
    assert len(kept) == 1
    ended = next(number for number in ordinary if target_of(driver, number) == kept[0])
    driver.end(ended, after_s=1.0)
    for number in alone:
        assert target_of(driver, number) == kept[0]
        assert [each for each, (_, target) in driver.running.items() if target == kept[0]] == [number]
        driver.end(number, after_s=1.0)
    assert not any(each.kept for each in driver.queue.targets())


def test_the_next_one_needs_a_turn_of_its_own() -> None:
    driver = Driver(facts("w", 2))
    first = driver.arrive(alone=True)
    ordinary = driver.arrive("b")
    second = driver.arrive(alone=True)
    driver.end(first, after_s=1.0)
    assert ordinary in driver.running, "team a was charged, so b is next"
    assert second in driver.waiting


def test_a_target_that_is_not_empty_in_time_is_given_back() -> None:
    driver = Driver(facts("w", 2))
    long = driver.arrive()
    alone, behind = driver.arrive(alone=True), driver.arrive("b")
    driver.tick(EMPTYING_S)
    assert set(driver.running) == {long}
    driver.tick(0.5)
    assert [(each.ticket.id, each.reason) for each in driver.refused] == [(alone, "expired_in_queue")]
    assert set(driver.running) == {long, behind}


def test_who_keeps_a_target_for_itself_is_charged_for_all_its_slots() -> None:
    driver = Driver(facts("w", 4))
    driver.arrive()  # its own, and long
    alone, behind = driver.arrive(alone=True), driver.arrive("b")
    before = driver.account("a").counter
    driver.tick(EMPTYING_S + 0.5)
    assert alone not in driver.waiting
    assert driver.account("a").counter - before == pytest.approx(4 * (EMPTYING_S + 0.5))
    others = [driver.arrive("b") for _ in range(4)]
    again = driver.arrive(alone=True)
    for number in (behind, others[0]):
        driver.end(number, after_s=1.0)
    assert set(others[1:]) <= set(driver.running), "what was kept idle is made up for first"
    assert again in driver.waiting


def test_one_that_runs_alone_costs_as_much_as_if_it_had_every_slot() -> None:
    costs = []
    for alone in (False, True):
        driver = Driver(facts("w", 4))
        number = driver.arrive(alone=alone)
        driver.end(number, after_s=3.0)
        costs.append(driver.account("a").counter)
    assert costs[0] > 0
    assert costs[1] == pytest.approx(4 * costs[0])


def test_its_own_deadline_ends_its_wait_too() -> None:
    driver = Driver(facts("w", 2))
    long = driver.arrive()
    alone = driver.arrive(alone=True, expires_s=driver.now_s + 5.0)
    driver.tick(6.0)
    assert [each.ticket.id for each in driver.refused] == [alone]
    assert set(driver.running) == {long}
    assert not driver.queue.targets()[0].kept


def test_a_caller_that_leaves_frees_the_target_at_once() -> None:
    driver = Driver(facts("w", 2))
    driver.arrive()
    alone, behind = driver.arrive(alone=True), driver.arrive("b")
    driver.leave(alone)
    assert behind in driver.running
    assert driver.queue.position(alone) == 0


def test_a_target_that_is_lost_sends_it_back_into_its_line() -> None:
    both = facts("w", 2), facts("x", 2)
    driver = Driver(*both)
    ordinary = [driver.arrive(), driver.arrive()]
    alone = driver.arrive(alone=True)
    (kept,) = [each.id for each in driver.queue.targets() if each.kept]
    lost = next(each for each in both if each.id == kept)
    driver.lose(lost)
    (other,) = [each.id for each in driver.queue.targets() if each.kept]
    assert other != kept
    driver.end(next(number for number in ordinary if target_of(driver, number) == other), after_s=1.0)
    assert target_of(driver, alone) == other


def test_a_target_that_serves_it_no_more_sends_it_back_too() -> None:
    driver = Driver(facts("w", 2, pools=(POOL, OTHER)))
    driver.arrive(model="n")
    alone = driver.arrive(alone=True)
    stays = driver.arrive(model="n", alone=True)
    driver.ready(facts("w", 2, pools=(OTHER,)))
    assert alone in driver.waiting
    assert not driver.account("a").lines.keys().isdisjoint({(POOL, "")})
    driver.end(driver.oldest(), after_s=1.0)
    assert stays in driver.running


def test_a_slot_that_was_taken_puts_it_back_and_it_runs_alone_later() -> None:
    driver = Driver(facts("w", 2))
    alone = driver.arrive(alone=True)
    driver.taken(alone)
    assert alone in driver.waiting
    driver.tick(1.5)
    assert set(driver.running) == {alone}
    assert driver.queue.targets()[0].kept


def test_one_that_ran_alone_before_a_gateway_changed_still_does() -> None:
    driver = Driver(facts("w", 2))
    driver.tell(Resumed(ticket(70, alone=True), "w"))
    assert driver.queue.targets()[0].kept
    driver.arrive()
    assert not driver.running
