"""What decides the queue, as the dispatcher sees it."""

from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.scheduling.decision_times import DecisionTimes
from policies.admitting.effects import Effect, Forecast
from policies.admitting.events import QueueEvent
from policies.admitting.queue_view import QueueView, TargetView

CarryOut = Callable[[Iterable[Effect]], None]
"""Takes the effects for this gateway's own tickets, in order, on the event loop; must not block."""


class Scheduler(Protocol):
    """Hears events in order and answers with effects, at once or later. Every method is called on the event loop."""

    @property
    def decision_times(self) -> DecisionTimes:
        """How long the decisions made here took."""
        ...

    async def start(self) -> None:
        """Begin to decide."""
        ...

    async def close(self) -> None:
        """Decide nothing any more."""
        ...

    def tell(self, event: QueueEvent) -> None:
        """Something happened to one of our requests, or to a target that we see."""
        ...

    def forecast(self, ticket_id: int) -> Forecast:
        """What is left of a waiting ticket's wait, as far as it is known here."""
        ...

    def waiting(self, team: str | None = None) -> int:
        """How many wait, of one team or in all."""
        ...

    def targets(self) -> tuple[TargetView, ...]:
        """All targets."""
        ...

    def view(self) -> QueueView:
        """The queue, for operators."""
        ...
