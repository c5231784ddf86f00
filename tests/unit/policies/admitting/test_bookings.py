"""Bookings: known again, counted as work to come, lapsed, bounded."""

import pytest

from policies.admitting.bookings import EXPECTED_S, KEPT_GAIN, MAX_BOOKINGS, Booking, Bookings


def booking(due_s: float, cost_s: float = 2.0, domain: str = "d") -> Booking:
    return Booking(due_s, cost_s, domain, 0.0)


def bookings(*dues_s: float) -> Bookings:
    found = Bookings(6.0, 1.0)
    for number, due_s in enumerate(dues_s):
        assert found.book(b"%d" % number, booking(due_s), 0.0)
    return found


@pytest.mark.parametrize(("now_s", "is_due"), [(8.9, False), (9.0, True), (10.0, True), (16.0, True), (16.1, False)])
def test_a_booking_is_known_again_around_its_moment(now_s: float, is_due: bool) -> None:
    assert (bookings(10.0).due(b"0", now_s) is not None) == is_due
    assert bookings(10.0).due(b"another", now_s) is None


def test_when_a_caller_first_asked_is_kept() -> None:
    found = bookings(10.0)
    assert found.asked_s(b"0", 5.0) == 0.0
    assert found.asked_s(b"another", 5.0) == 5.0


def test_a_later_booking_takes_the_place_of_the_one_before() -> None:
    found = bookings(10.0)
    found.book(b"0", booking(20.0, 5.0), 0.0)
    assert len(found) == 1
    assert found.expected_s("d", 100.0, 0.0) == 5.0


def test_what_is_booked_for_a_domain_up_to_a_moment_is_ahead() -> None:
    found = bookings(10.0, 20.0, 30.0)
    assert found.expected_s("d", 20.0, 0.0) == 4.0
    assert found.expected_s("d", 9.0, 0.0) == 0.0
    assert found.expected_s("another", 100.0, 0.0) == 0.0
    assert found.expected_s("d", 100.0, 0.0, but=b"1") == 4.0
    assert found.expected_s("d", 100.0, 0.0, but=b"unknown") == 6.0
    assert found.expected_s("d", 15.0, 0.0, but=b"1") == 2.0, "its own is not among them"
    found.book(b"3", booking(10.0, 7.0, "another"), 0.0)
    assert found.expected_s("d", 100.0, 0.0, but=b"3") == 6.0


def test_once_the_moment_is_well_over_nobody_is_expected_any_more() -> None:
    found = bookings(10.0)
    assert found.expected_s("d", 100.0, 10.0 + EXPECTED_S) == 2.0
    assert found.expected_s("d", 100.0, 10.1 + EXPECTED_S) == 0.0


def test_of_callers_who_seldom_come_back_less_is_expected() -> None:
    found = bookings(10.0, 20.0)
    found.forget_lapsed(16.1)
    assert len(found) == 1
    assert found.expected_s("d", 100.0, 16.1) == pytest.approx(2.0 * (1 - KEPT_GAIN))
    found.drop(b"1")
    found.book(b"x", booking(30.0), 17.0)
    assert found.expected_s("d", 100.0, 17.0) == pytest.approx(2.0 * (1 - KEPT_GAIN + KEPT_GAIN**2))


def test_who_comes_back_is_counted_also_when_turned_away_again() -> None:
    found = bookings(10.0, 20.0, 30.0)
    found.forget_lapsed(16.1)
    assert found.book(b"1", booking(40.0), 20.0)
    assert found.expected_s("d", 100.0, 20.0) == pytest.approx(4.0 * (1 - KEPT_GAIN + KEPT_GAIN**2))
    assert found.book(b"1", booking(50.0), 20.0), "long before its moment: it did not wait"
    assert found.expected_s("d", 100.0, 20.0) == pytest.approx(4.0 * (1 - KEPT_GAIN + KEPT_GAIN**2))


def test_what_is_booked_does_not_shrink_when_others_do_not_come() -> None:
    found = bookings(*([10.0] * 50), 30.0)
    found.forget_lapsed(16.1)
    assert found.expected_s("d", 100.0, 16.1) < 0.2
    assert found.booked_s("d", 100.0, 16.1) == 2.0


def test_what_has_no_identity_and_what_is_too_many_is_not_booked() -> None:
    found = bookings(*([10.0] * MAX_BOOKINGS))
    assert not found.book(b"one more", booking(10.0), 0.0)
    assert found.book(b"0", booking(11.0), 0.0), "its own place it may have"
    assert not Bookings(6.0, 1.0).book(b"", booking(10.0), 0.0)
    assert found.book(b"one more", booking(90.0), 50.0), "the others have lapsed"
    assert len(found) == 1


def test_to_drop_what_is_not_booked_is_nothing() -> None:
    found = bookings()
    found.drop(b"0")
    assert len(found) == 0
