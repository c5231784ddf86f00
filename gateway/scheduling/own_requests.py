"""The requests of this gateway in the queue, and the targets it sees: its own truth, whoever decides.

Decides what a new decider is told of them, and which decisions still hold. A request is here from `Arrived` until it
ended, left or was refused. Rules:
 (1) It runs on at most one target at a time. Only one that waits can be dispatched or refused: a decision for another
     is late, and dropped.
 (2) It is let in from the first answer on; one without an answer is announced as arriving, to be judged then.
 (3) One that was sent to a target that we cannot reach is set aside for `ASIDE_S`: out of the queue, where it would
     keep others from that target, and back in it after that.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from gateway.scheduling.ticket_mask import Mask, masked
from policies.admitting.effects import Forecast
from policies.admitting.events import (
    Arrived,
    BandsChanged,
    Began,
    Ended,
    Grew,
    Left,
    QueueEvent,
    Resumed,
    SlotTaken,
    Stepped,
    TargetLost,
    TargetReady,
)
from policies.admitting.queue_view import TargetView
from policies.admitting.ticket import Bounds, PoolKey, Ticket

ASIDE_S: Final = 1.0
NO_FORECAST: Final = Forecast()


@dataclass(slots=True)
class OwnRequest:
    """One of them. `ticket` is the caller's, `masked` the queue's; `target` is where it runs, "" while it waits."""

    ticket: Ticket
    masked: Ticket
    bounds: Bounds
    let_in: bool = False
    target: str = ""
    output_tokens: int = 0
    forecast: Forecast = NO_FORECAST


class OwnRequests:
    """See the head of the module. Names of targets are the queue's, but in `targets`."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._requests: dict[int, OwnRequest] = {}
        self._waiting: Counter[str] = Counter()
        self._aside: dict[int, float] = {}
        self._facts: dict[str, TargetReady | TargetLost] = {}
        self._bands = BandsChanged(())

    def note(self, event: QueueEvent) -> QueueEvent | None:
        """Take in what happened here; the event as the queue shall hear it, None for one that it need not hear."""
        match event:
            case Arrived():
                hidden = self._mask.ticket(event.ticket)
                self._requests[event.ticket.id] = OwnRequest(event.ticket, hidden, event.bounds)
                self._waiting[event.ticket.team] += 1
                return Arrived(hidden, event.bounds)
            case Began() | Grew() | SlotTaken() | Ended() | Left():
                return self._note_change(event)
            case TargetReady() | TargetLost():
                self._facts[self._mask.target(event.facts.id)] = changed = masked(event, self._mask)  # type: ignore[assignment]
                return changed
            case Stepped():
                return structs.replace(event, target=self._mask.target(event.target))
            case BandsChanged():
                self._bands = event
                return event
            case _:
                return event

    def _note_change(self, event: Began | Grew | SlotTaken | Ended | Left) -> QueueEvent | None:
        request = self._requests.get(event.id)
        if request is None:
            return None
        unknown = event.id in self._aside
        if isinstance(event, Ended | Left):
            self._forget(request)
        elif isinstance(event, SlotTaken):
            if request.target:
                self._waiting[request.ticket.team] += 1
            request.target, request.output_tokens = "", 0
        else:
            request.output_tokens = max(1, event.output_tokens if isinstance(event, Grew) else 1)
        return None if unknown else event

    # ---- decisions

    def dispatched(self, ticket_id: int, target: str) -> Ticket | None:
        """The caller's ticket, now running there; None when it does not wait any more."""
        request = self._waiting_one(ticket_id)
        if request is None:
            return None
        request.let_in, request.target = True, target
        self._waiting[request.ticket.team] -= 1
        return request.ticket

    def refused(self, ticket_id: int) -> Ticket | None:
        """The caller's ticket, which is gone with this; None when it does not wait any more."""
        request = self._waiting_one(ticket_id)
        if request is None:
            return None
        self._forget(request)
        return request.ticket

    def let_in(self, ticket_id: int, forecast: Forecast) -> Ticket | None:
        """The caller's ticket when this is the first that we hear of its wait, else None."""
        request = self._waiting_one(ticket_id)
        if request is None:
            return None
        request.forecast = forecast
        first, request.let_in = not request.let_in, True
        return request.ticket if first else None

    def set_aside(self, ticket_id: int, until_s: float) -> bool:
        """It waits outside the queue until then; False when it does not wait any more."""
        if self._waiting_one(ticket_id) is None:
            return False
        self._aside[ticket_id] = until_s
        return True

    def due(self, now_s: float) -> list[QueueEvent]:
        """Those whose time aside is over, as the queue shall hear of them again."""
        back = [ticket_id for ticket_id, until_s in self._aside.items() if until_s <= now_s]
        for ticket_id in back:
            del self._aside[ticket_id]
        return [Resumed(self._requests[ticket_id].masked) for ticket_id in back]

    # ---- what is known

    def announcement(self) -> list[QueueEvent]:
        """Everything a new decider must know: targets, what runs, what waits, and what was not yet let in."""
        running = [each for each in self._requests.values() if each.target]
        waiting = [each for each in self._requests.values() if not each.target and each.ticket.id not in self._aside]
        return [
            *self._facts.values(),
            *(Resumed(each.masked, each.target, each.output_tokens) for each in running),
            *(Resumed(each.masked) for each in waiting if each.let_in),
            *(Arrived(each.masked, each.bounds) for each in waiting if not each.let_in),
        ]

    @property
    def bands(self) -> BandsChanged:
        """The policy's bands as this gateway has them."""
        return self._bands

    def masked(self, ticket_id: int) -> Ticket | None:
        """The queue's ticket of one of ours."""
        request = self._requests.get(ticket_id)
        return None if request is None else request.masked

    def serving(self, pool: PoolKey) -> tuple[str, ...]:
        """The targets of a pool that are ready as we see them."""
        ready = [event.facts for event in self._facts.values() if isinstance(event, TargetReady)]
        return tuple(facts.id for facts in ready if pool in facts.pools)

    def can_reach(self, target: str) -> bool:
        """Whether a target is ready as we see it."""
        return isinstance(self._facts.get(target), TargetReady)

    def waiting(self, team: str | None = None) -> int:
        """How many of ours wait, of one team or in all."""
        return self._waiting.total() if team is None else self._waiting[team]

    def forecast(self, ticket_id: int) -> Forecast:
        """What was last heard of its wait; nothing for one that does not wait."""
        request = self._waiting_one(ticket_id)
        return NO_FORECAST if request is None else request.forecast

    def targets(self) -> tuple[TargetView, ...]:
        """Our targets under our own names, with what we run there."""
        return tuple(self._target(event) for event in self._facts.values())

    def _target(self, event: TargetReady | TargetLost) -> TargetView:
        name = event.facts.id
        running = sum(each.target == name for each in self._requests.values())
        return TargetView(
            id=self._mask.own_target(name),
            slots=event.facts.slots,
            running=running,
            ready=isinstance(event, TargetReady),
        )

    def _forget(self, request: OwnRequest) -> None:
        del self._requests[request.ticket.id]
        self._aside.pop(request.ticket.id, None)
        if not request.target:
            self._waiting[request.ticket.team] -= 1
            self._waiting += Counter()  # forgets teams of which none waits

    def _waiting_one(self, ticket_id: int) -> OwnRequest | None:
        request = self._requests.get(ticket_id)
        return None if request is None or request.target else request
