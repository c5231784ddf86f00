"""The reservations of this gateway that are not settled yet, and how many hold each place."""

from gateway.limits.store_keys import Brought, lease, lease_end
from policies.limiting.limits import Reservation


class HeldReservations:
    """Who holds what."""

    def __init__(self) -> None:
        self._held: dict[str, Reservation] = {}
        self._running: dict[str, int] = {}

    def hold(self, reservation: Reservation) -> Reservation:
        """It is held from now on."""
        self._held[reservation.id] = reservation
        for place in reservation.claims.concurrency:
            self._running[place.name] = self._running.get(place.name, 0) + 1
        return reservation

    def let_go(self, reservation: Reservation) -> bool:
        """It is not held any more; False when it was not."""
        if self._held.pop(reservation.id, None) is None:
            return False
        for place in reservation.claims.concurrency:
            left = self._running[place.name] - 1
            if left:
                self._running[place.name] = left
            else:
                del self._running[place.name]
        return True

    def running(self, name: str) -> int:
        """How many hold the place `name`."""
        return self._running.get(name, 0)

    def all(self) -> tuple[Reservation, ...]:
        """Every one that is held now."""
        return tuple(self._held.values())

    def leases(self) -> list[Brought]:
        """A lease for every place that is held."""
        return [lease(place, each.id) for each in self._held.values() for place in each.claims.concurrency]

    def lease_ends(self, before: tuple[Reservation, ...]) -> list[Brought]:
        """An end for every lease of `before` that is not held now."""
        gone = [each for each in before if each.id not in self._held]
        return [lease_end(place, each.id) for each in gone for place in each.claims.concurrency]
