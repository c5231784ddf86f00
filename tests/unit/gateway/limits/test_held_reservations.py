"""Who holds what: once each, and told to the store as leases."""

from gateway.limits.held_reservations import HeldReservations
from gateway.limits.store_keys import lease, lease_end
from policies.limiting.limits import Claims, ConcurrencyClaim, Reservation

A, B = ConcurrencyClaim("concurrent:a", 1), ConcurrencyClaim("concurrent:b", 2)
ONE, TWO = Reservation("one", Claims((), (A, B))), Reservation("two", Claims((), (B,)))


def test_places_are_counted_by_name_and_given_back_once() -> None:
    held = HeldReservations()
    assert held.hold(ONE) is ONE
    held.hold(TWO)
    assert (held.running(A.name), held.running(B.name), held.running("x")) == (1, 2, 0)
    assert held.let_go(ONE)
    assert not held.let_go(ONE)
    assert (held.running(A.name), held.running(B.name)) == (0, 1)
    assert held.all() == (TWO,)


def test_leases_of_those_held_and_ends_of_those_gone() -> None:
    held = HeldReservations()
    held.hold(ONE)
    held.hold(TWO)
    before = held.all()
    assert held.leases() == [lease(A, "one"), lease(B, "one"), lease(B, "two")]
    assert held.lease_ends(before) == []
    held.let_go(ONE)
    assert held.lease_ends(before) == [lease_end(A, "one"), lease_end(B, "one")]
