"""The queue under a whole policy: the bounds on waiting too, and promises that only report.

The simulation's arrivals know weight, band and promise. How many of a team may wait, for how long, and whether its
promise is enforced are the policy's alone; each arrival gets them here on its way into the very queue that serves.
"""

from msgspec import structs

from policies.admission import Queue
from policies.admitting.effects import Effect
from policies.admitting.events import Arrived, QueueEvent
from policies.admitting.ticket import Bounds
from policies.policy import Policy


class QueueOnTerms(Queue):
    """A `Queue` whose newcomers are bound as `policy` says. It must know all their teams, else KeyError."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy

    def handle(self, event: QueueEvent, now_s: float) -> list[Effect]:
        """As the queue does."""
        return super().handle(self._on_terms(event) if isinstance(event, Arrived) else event, now_s)

    def _on_terms(self, event: Arrived) -> Arrived:
        ticket, team = event.ticket, self._policy.teams[event.ticket.team]
        return Arrived(
            ticket=structs.replace(
                ticket,
                expires_s=ticket.arrived_s + team.max_wait_s,
                enforced=team.promise_mode == "enforce",
            ),
            bounds=Bounds(total=self._policy.max_queued, team=team.max_queued),
        )
