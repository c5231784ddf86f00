"""Moments promised to callers who were turned away: each team's bookings.

A booking is a moment and the work that will come then. Whoever keeps it stands in line by when it first asked, so it
counts as work ahead of the team's later first tries. It is known again by the request's identity, until a few seconds
after its moment. Not all come back: for a first try what is still to come counts with the share of bookings that were
kept lately, and not at all once its moment is well over, so that callers who never retry do not hold slots empty. A
further moment is told as if all of them came: that share says nothing of who was booked since, and where many callers
have just vanished the next ones would all be told one moment, and most of them be refused then.
"""

import math
from bisect import bisect_left, bisect_right

from msgspec import Struct

MAX_BOOKINGS = 1024
"""Of one team. In the two minutes that bookings reach ahead no pool of a machine serves more."""


LAST_IDENTITY = b"\xff" * 64
"""Sorts after every digest."""
KEPT_GAIN = 0.05
"""How fast the share of kept bookings is learnt."""
GRAIN_S = 0.5
"""Moments are told in such steps: to the millisecond each request of another team would show in them."""
EXPECTED_S = 1.5
"""How long after its moment a caller is still counted on: `Retry-After` is in whole seconds, rounded up."""


class Booking(Struct, frozen=True):
    """Work of `cost_s` slot-seconds for a pool's domain, promised room from `due_s` on; it was first asked for then."""

    due_s: float
    cost_s: float
    domain: str
    asked_s: float


class Moments:
    """The bookings of one domain in the order of their moments: what is summed up at each arrival has to be fast."""

    def __init__(self) -> None:
        self._order: list[tuple[float, bytes]] = []
        self._costs_s: list[float] = []

    def __len__(self) -> int:
        return len(self._order)

    def add(self, identity: bytes, booking: Booking) -> None:
        """One more."""
        place = bisect_left(self._order, (booking.due_s, identity))
        self._order.insert(place, (booking.due_s, identity))
        self._costs_s.insert(place, booking.cost_s)

    def remove(self, identity: bytes, booking: Booking) -> None:
        """One less."""
        place = bisect_left(self._order, (booking.due_s, identity))
        del self._order[place], self._costs_s[place]

    def cost_s(self, since_s: float, until_s: float) -> float:
        """Slot-seconds of the moments from `since_s` up to `until_s`."""
        first = bisect_left(self._order, (since_s, b""))
        return sum(self._costs_s[first : bisect_right(self._order, (until_s, LAST_IDENTITY))])

    def before(self, moment_s: float) -> list[bytes]:
        """Whose moments are earlier."""
        return [identity for _, identity in self._order[: bisect_left(self._order, (moment_s, b""))]]


class Bookings:
    """One team's."""

    def __init__(self, lapse_s: float, early_s: float) -> None:
        self._lapse_s = lapse_s
        self._early_s = early_s
        self._by_identity: dict[bytes, Booking] = {}
        self._moments: dict[str, Moments] = {}
        self._kept = 1.0

    def __len__(self) -> int:
        return len(self._by_identity)

    def book(self, identity: bytes, booking: Booking, now_s: float) -> bool:
        """Keep `booking` in place of the one before; False when there are too many, or nothing to know it by."""
        self.forget_lapsed(now_s)
        if self.due(identity, now_s) is not None:
            self._came()
        if not identity or (len(self._by_identity) >= MAX_BOOKINGS and identity not in self._by_identity):
            return False
        self._take_out(identity)
        self._by_identity[identity] = booking
        self._moments.setdefault(booking.domain, Moments()).add(identity, booking)
        return True

    def due(self, identity: bytes, now_s: float) -> Booking | None:
        """The booking for now of whoever comes now."""
        booking = self._by_identity.get(identity)
        is_now = booking is not None and -self._early_s <= now_s - booking.due_s <= self._lapse_s
        return booking if is_now else None

    def asked_s(self, identity: bytes, now_s: float) -> float:
        """When the caller asked first; now, if it has no booking."""
        booking = self._by_identity.get(identity)
        return booking.asked_s if booking is not None else now_s

    def drop(self, identity: bytes) -> None:
        """The caller came, and was let in."""
        if self._take_out(identity) is not None:
            self._came()

    def expected_s(self, domain: str, until_s: float, now_s: float, but: bytes = b"") -> float:
        """Slot-seconds to expect from bookings in `domain` for moments up to `until_s`, without that of `but`."""
        return self._kept * self.booked_s(domain, until_s, now_s, but)

    def booked_s(self, domain: str, until_s: float, now_s: float, but: bytes = b"") -> float:
        """Slot-seconds of bookings in `domain` for moments up to `until_s`, without that of `but`, if all are kept."""
        moments, own, since_s = self._moments.get(domain), self._by_identity.get(but), now_s - EXPECTED_S
        if moments is None:
            return 0.0
        counts = own is not None and own.domain == domain and since_s <= own.due_s <= until_s
        return max(moments.cost_s(since_s, until_s) - (own.cost_s if own and counts else 0.0), 0.0)

    def forget_lapsed(self, now_s: float) -> None:
        """Drop those whose moment is over."""
        for identity in [each for moments in self._moments.values() for each in moments.before(now_s - self._lapse_s)]:
            self._take_out(identity)
            self._kept -= KEPT_GAIN * self._kept

    def _came(self) -> None:
        self._kept += KEPT_GAIN * (1 - self._kept)

    def _take_out(self, identity: bytes) -> Booking | None:
        booking = self._by_identity.pop(identity, None)
        if booking is not None:
            self._moments[booking.domain].remove(identity, booking)
            if not self._moments[booking.domain]:
                del self._moments[booking.domain]
        return booking


def in_steps(due_s: float) -> float:
    """The next moment that is told: rounded up, as coming early loses the place."""
    return math.ceil(due_s / GRAIN_S) * GRAIN_S
