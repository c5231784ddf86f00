"""First come, first served: what servers without admission do, on the same contract as `policies.admission.Queue`.

It prices nothing and promises nothing. What waits is bounded in all and for each team, and by the time each
request may wait; the rest is one line. It is here to be compared with, in the very same gateway.
"""

from collections import OrderedDict

from policies.admitting import events as happened
from policies.admitting.effects import Dispatch, Effect, Forecast, Refuse, Waits
from policies.admitting.events import QueueEvent
from policies.admitting.queue_view import QueueView, TargetView
from policies.admitting.ticket import RefusalReason, TargetFacts, Ticket

RETRY_AFTER_S = 1.0


class FifoQueue:
    """One line for each pool, in order of arrival."""

    def __init__(self) -> None:
        self._targets: dict[str, TargetFacts] = {}
        self._ready: dict[str, bool] = {}
        self._waiting: OrderedDict[int, Ticket] = OrderedDict()
        self._running: dict[int, tuple[Ticket, str]] = {}
        self._taken: set[str] = set()

    def handle(self, event: QueueEvent, now_s: float) -> list[Effect]:
        """Take in what happened; the effects are to be carried out in order."""
        match event:
            case happened.Arrived():
                return self._arrived(event)
            case happened.Left() | happened.Ended():
                self._waiting.pop(event.id, None)
                self._running.pop(event.id, None)
            case happened.SlotTaken():
                ticket, target = self._running.pop(event.id)
                self._waiting[ticket.id] = ticket
                self._waiting.move_to_end(ticket.id, last=False)
                self._taken.add(target)
                return []
            case happened.TargetReady() | happened.TargetLost():
                self._targets[event.facts.id] = event.facts
                self._ready[event.facts.id] = isinstance(event, happened.TargetReady)
            case happened.Tick():
                self._taken.clear()
                return [*self._expire(now_s), *self._dispatch()]
        return self._dispatch()

    def forecast(self, ticket_id: int, now_s: float) -> Forecast:  # noqa: ARG002 (it knows nothing of times)
        """Only the place among the team's own."""
        return Forecast(position=self.position(ticket_id))

    def predict(self, ticket: Ticket, now_s: float) -> Forecast:  # noqa: ARG002
        """Nothing is predicted."""
        return Forecast(position=self.waiting(ticket.team) + 1)

    def waiting(self, team: str | None = None) -> int:
        """How many tickets wait, of one team or in all."""
        return sum(team in (None, each.team) for each in self._waiting.values())

    def position(self, ticket_id: int) -> int:
        """The ticket's place among its own team's waiters, 1 first; 0 when it does not wait."""
        ticket = self._waiting.get(ticket_id)
        own = [each.id for each in self._waiting.values() if ticket is not None and each.team == ticket.team]
        return own.index(ticket_id) + 1 if own else 0

    def targets(self) -> tuple[TargetView, ...]:
        """All targets ever announced."""
        return tuple(
            TargetView(id=each.id, slots=each.slots, running=self._busy(each.id), ready=self._ready[each.id])
            for each in self._targets.values()
        )

    def view(self, now_s: float) -> QueueView:  # noqa: ARG002
        """Only what is counted without a model."""
        return QueueView(
            teams=(),
            pools=(),
            targets=self.targets(),
            waiting=len(self._waiting),
            running=len(self._running),
            bookings=0,
            admitted=0,
            refused=0,
            refused_late=0,
        )

    # ---- inside

    def _arrived(self, event: happened.Arrived) -> list[Effect]:
        ticket, bounds = event.ticket, event.bounds
        if not any(ticket.pool in each.pools for each in self._targets.values()):
            return [_refused(ticket, "no_capacity")]
        if not self._free(ticket):
            if len(self._waiting) >= bounds.total:
                return [_refused(ticket, "queue_full")]
            if self.waiting(ticket.team) >= bounds.team:
                return [_refused(ticket, "team_queue_full")]
        self._waiting[ticket.id] = ticket
        effects = self._dispatch()
        return [*effects, Waits(ticket, self.predict(ticket, 0.0))] if ticket.id in self._waiting else effects

    def _dispatch(self) -> list[Effect]:
        effects: list[Effect] = []
        for ticket in list(self._waiting.values()):
            target = self._free(ticket)
            if target:
                del self._waiting[ticket.id]
                self._running[ticket.id] = ticket, target
                effects.append(Dispatch(ticket, target))
        return effects

    def _free(self, ticket: Ticket) -> str:
        """The target with most room that serves the ticket's pool, "" without one."""
        room = {
            each.id: each.slots - self._busy(each.id) for each in self._targets.values() if ticket.pool in each.pools
        }
        open_ = [
            target for target, free in room.items() if free > 0 and self._ready[target] and target not in self._taken
        ]
        return max(open_, key=lambda target: room[target], default="")

    def _busy(self, target: str) -> int:
        return sum(on == target for _, on in self._running.values())

    def _expire(self, now_s: float) -> list[Effect]:
        late = [each for each in self._waiting.values() if each.expires_s is not None and each.expires_s <= now_s]
        for ticket in late:
            del self._waiting[ticket.id]
        return [_refused(ticket, "expired_in_queue") for ticket in late]


def _refused(ticket: Ticket, reason: RefusalReason) -> Refuse:
    return Refuse(ticket, reason, RETRY_AFTER_S)
