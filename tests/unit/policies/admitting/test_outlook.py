"""What one request may expect: rules 1 to 4 of `policies/admitting/outlook.py`."""

import pytest

from policies.admitting.bookings import GRAIN_S, MAX_BOOKINGS, Booking
from policies.admitting.outlook import Outlook
from policies.admitting.ticket import BandTerms, Ticket
from tests.unit.policies.queue_driver import Driver, facts, ticket

COST_S = 100 * 0.002 + 256 * 0.05
"""Of a request of the tests, at the first guesses."""


def outlook(driver: Driver, asks: Ticket) -> Outlook:
    return Outlook(driver.queue._known, driver.domain(), asks, driver.now_s)


def asks(driver: Driver, **terms: object) -> Ticket:
    return ticket(99, **({"arrived_s": driver.now_s, "identity": b"x"} | terms))


def full(waiting: int = 0) -> Driver:
    driver = Driver(facts())
    for _ in range(1 + waiting):
        driver.arrive()
    return driver


def test_rule_1_a_free_slot_is_no_wait() -> None:
    driver = Driver(facts(slots=2))
    driver.arrive()
    found = outlook(driver, asks(driver)).forecast()
    assert (found.wait_s, found.position) == (0, 0)


def test_rule_1_a_slot_kept_for_another_band_is_not_free() -> None:
    driver = Driver(facts(slots=2), bands=(BandTerms("high", 0.5, lends=False), BandTerms("low", 0.5)))
    driver.arrive(band="low")
    assert outlook(driver, asks(driver, band="low")).forecast().position == 1
    assert outlook(driver, asks(driver, band="high")).forecast().position == 0


def test_rule_2_what_is_booked_before_its_turn_is_work_ahead_of_it() -> None:
    driver = full(waiting=1)
    before = outlook(driver, asks(driver)).forecast()
    booking = Booking(driver.now_s + 1, COST_S, driver.domain().name, driver.now_s)
    driver.account("a").bookings.book(b"other", booking, driver.now_s)
    after = outlook(driver, asks(driver)).forecast()
    assert after.wait_s == pytest.approx(before.wait_s + COST_S)
    assert after.position == before.position == 2


def test_rule_2_who_keeps_a_booking_stands_by_when_it_first_asked() -> None:
    driver = full(waiting=1)
    booking = Booking(driver.now_s, COST_S, driver.domain().name, driver.now_s - 9)
    driver.account("a").bookings.book(b"x", booking, driver.now_s)
    assert outlook(driver, asks(driver, promise_s=50.0)).forecast().position == 1


def test_rule_3_the_quantile_must_fit_the_promise_but_for_a_booking_the_median() -> None:
    driver = full()
    found = outlook(driver, asks(driver, promise_s=COST_S + 1)).forecast()
    assert found.wait_s == pytest.approx(COST_S)
    assert found.likely_s > found.wait_s
    assert outlook(driver, asks(driver, promise_s=COST_S + 1)).breaks_promise(found)
    assert not outlook(driver, asks(driver, promise_s=10 * COST_S)).breaks_promise(found)
    booking = Booking(driver.now_s, COST_S, driver.domain().name, driver.now_s)
    driver.account("a").bookings.book(b"x", booking, driver.now_s)
    assert not outlook(driver, asks(driver, promise_s=COST_S + 1)).breaks_promise(found)


def test_rule_3_without_a_promise_the_longest_wait_is_one() -> None:
    driver = full()
    patient, hasty = (asks(driver, expires_s=driver.now_s + each) for each in (100.0, 5.0))
    assert not outlook(driver, patient).breaks_promise(outlook(driver, patient).forecast())
    assert outlook(driver, hasty).breaks_promise(outlook(driver, hasty).forecast())


def test_rule_3_an_idle_domain_takes_anything() -> None:
    driver = Driver(facts())
    hopeless = asks(driver, promise_s=0.001)
    assert not outlook(driver, hopeless).breaks_promise(outlook(driver, hopeless).forecast())


def test_rule_4_the_moment_is_when_the_teams_share_has_room() -> None:
    driver = full(waiting=1)
    due_s = outlook(driver, asks(driver, promise_s=10.0)).book()
    assert due_s == pytest.approx(2 * COST_S * 1.6 - 5.0, abs=GRAIN_S)
    assert due_s % GRAIN_S == 0
    assert outlook(driver, asks(driver, identity=b"y", promise_s=10.0)).book() == pytest.approx(
        due_s + COST_S * 1.6, abs=2 * GRAIN_S
    ), "behind the one booked before"


def test_rule_4_nothing_is_booked_beyond_reach_nor_for_whom_nobody_would_know_again() -> None:
    assert outlook(full(waiting=9), asks(full(), promise_s=10.0)).book() is None
    driver = full()
    assert outlook(driver, asks(driver, identity=b"")).book() is None
    for number in range(MAX_BOOKINGS):
        booking = Booking(driver.now_s + 50, 0.001, driver.domain().name, driver.now_s)
        driver.account("a").bookings.book(str(number).encode(), booking, driver.now_s)
    assert outlook(driver, asks(driver, promise_s=10.0)).book() is None


def test_rule_4_no_moment_is_right_for_a_prompt_that_is_too_long_for_its_promise() -> None:
    driver = full()
    driver.end(driver.oldest(), after_s=20.0)
    driver.arrive()
    assert outlook(driver, asks(driver, promise_s=0.1)).book() is None
    assert outlook(driver, asks(driver, promise_s=0.1, enforced=False)).book() is not None
