"""What one request may expect at one moment: its price, its wait, and when to come back if that is too long.

Rules
 (1) With a slot free that nobody who waits may have, no wait is predicted.
 (2) Bookings of the team for moments before its turn are work ahead of it, unless it keeps one itself.
 (3) A promise is broken when the quantile of the wait, and the time to the first token, do not fit into it; for a
     caller that keeps its booking the median decides. A domain in which nothing runs takes anything, so that no
     estimate can shut the door for good.
 (4) The moment to come back is the first at which the team's share has room: all that waits and is booked, and this,
     served at the team's rate, less the part of the promise that it may wait then. Nothing is booked for a prompt that
     is too long for its promise at any time.
"""

import math
from functools import cached_property

from policies.admitting.bookings import Booking, in_steps
from policies.admitting.effects import Forecast
from policies.admitting.knowledge import Knowledge
from policies.admitting.prediction import Prediction
from policies.admitting.target import Domain
from policies.admitting.team_account import Waiting
from policies.admitting.ticket import Ticket
from policies.admitting.turns import candidates


class Outlook:
    """See the head of the module. Only `book` changes anything."""

    def __init__(self, known: Knowledge, domain: Domain, ticket: Ticket, now_s: float) -> None:
        self.ticket = ticket
        self.account = known.account(ticket)
        self.price = known.price(ticket, domain)
        self._known = known
        self._domain = domain
        self._now_s = now_s

    @cached_property
    def _prediction(self) -> Prediction:
        return Prediction(self._known, self._domain, self.ticket, self._now_s)

    @cached_property
    def _booking(self) -> Booking | None:
        return self.account.bookings.due(self.ticket.identity, self._now_s)

    def forecast(self, waiting: Waiting | None = None) -> Forecast:
        """For a newcomer, or for one that waits (rules 1 and 2)."""
        if waiting is None and self._is_open():
            return Forecast(prefill_s=self.price.first_token_s)
        place = waiting or Waiting(self.ticket, asked_s=self._booking.asked_s if self._booking else None)
        line = self.account.line_of(self.ticket)
        before, own_s = line.before(place.order) if line else (0, 0.0)
        raw_s = self._prediction.wait_s(self.price.cost_s, own_s)
        if self._booking is None and waiting is None:
            expected_s = self._expected_s(self._now_s + raw_s)
            raw_s = self._prediction.wait_s(self.price.cost_s, own_s + expected_s) if expected_s else raw_s
        quantiles = self.account.quantiles(self.ticket.pool)
        return Forecast(
            raw_s=raw_s,
            wait_s=quantiles.mean_s(raw_s),
            likely_s=quantiles.likely_s(raw_s),
            p90_s=quantiles.p90_s(raw_s),
            prefill_s=self.price.first_token_s,
            position=before + 1,
        )

    def breaks_promise(self, forecast: Forecast) -> bool:
        """Whether what was promised cannot be kept (rule 3)."""
        if not self._known.tuning.refuses_early or not any(target.running for target in self._domain.targets):
            return False
        ticket = self.ticket
        judged_s = forecast.raw_s if self._booking else forecast.likely_s
        if ticket.expires_s is not None and judged_s > ticket.expires_s - self._now_s:
            return True
        return ticket.promise_s is not None and judged_s + forecast.prefill_s > ticket.promise_s

    def book(self) -> float | None:
        """Seconds until the moment that is booked for it; None when there is none within reach (rule 4)."""
        due_s = self._room_s()
        if due_s is None:
            return None
        bookings, now_s = self.account.bookings, self._now_s
        asked_s = min(self.ticket.arrived_s, bookings.asked_s(self.ticket.identity, now_s))
        booking = Booking(now_s + due_s, self.price.cost_s, self._domain.name, asked_s)
        if not bookings.book(self.ticket.identity, booking, now_s):
            return None
        self._known.accounts.setdefault(self.ticket.team, self.account)
        return due_s

    # ---- inside

    def _room_s(self) -> float | None:
        """Seconds until the team's share first has room for it; None when that is out of reach."""
        ticket, price, tuning = self.ticket, self.price, self._known.tuning
        if ticket.promise_s is not None and ticket.enforced and price.first_token_s > ticket.promise_s:
            return None
        waiting_s = self.account.backlog_s(ticket.band, self._domain.pools)
        booked_s = self.account.bookings.booked_s(self._domain.name, math.inf, self._now_s, ticket.identity)
        work_s = waiting_s + booked_s + price.cost_s
        room_s = work_s / self._prediction.service_rate() * (1 + tuning.booking_margin) + price.first_token_s
        patience_s = ticket.promise_s or (ticket.expires_s or math.inf) - ticket.arrived_s
        due_s = in_steps(max(1.0, room_s - tuning.booking_slack * min(patience_s, tuning.booking_reach_s)))
        return due_s if due_s <= tuning.booking_reach_s else None

    def _expected_s(self, until_s: float) -> float:
        """Slot-seconds to expect from those of the team who were told moments up to then."""
        return self.account.bookings.expected_s(self._domain.name, until_s, self._now_s, self.ticket.identity)

    def _is_open(self) -> bool:
        """Whether it could run at once without passing anybody."""
        known, ticket, now_s = self._known, self.ticket, self._now_s
        if not any(each.room(now_s) for each in self._domain.of(ticket.pool)):
            return False
        is_kept = known.is_kept(ticket.guaranteed_band, self._domain, now_s)
        return not is_kept and not candidates(known, self._domain, now_s)
