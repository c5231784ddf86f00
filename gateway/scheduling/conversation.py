"""What one who decides keeps of each gateway's letters, and of each ticket."""

from dataclasses import dataclass, field

from gateway.scheduling.queue_letters import Decision, Go, No, Stay
from policies.admitting.effects import Dispatch, Effect, Refuse
from policies.admitting.events import Began, Grew, QueueEvent, Resumed, Stepped, TargetLost, TargetReady

UNANSWERED = (Began, Grew, Stepped)
"""What need not be answered before the next tick: it changes neither who waits nor what is free."""


@dataclass(slots=True)
class Place:
    """Whose a ticket is, and where it runs ("": it waits)."""

    gateway: str
    target: str = ""


@dataclass(slots=True)
class Conversation:
    """One gateway's letters, either way. `before`: where its tickets were when it began."""

    talk: int
    heard_s: float
    before: dict[int, str]
    heard: int = 0
    sent: int = 0
    announced: bool = False
    lost: bool = False
    told: list[QueueEvent] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    lent: dict[str, int] = field(default_factory=dict)
    due: bool = True


def decision_of(effect: Effect) -> Decision:
    """The effect for another gateway's ticket, as it is written to it."""
    if isinstance(effect, Dispatch):
        return Go(effect.ticket.id, effect.target)
    if isinstance(effect, Refuse):
        return No(effect.ticket.id, effect.reason, effect.retry_after_s, effect.forecast)
    return Stay(effect.ticket.id, effect.forecast)


def stage_of(event: QueueEvent) -> int:
    """When the queue hears of what was told: 0 what runs, 1 what waits, 2 all else but targets."""
    if isinstance(event, Resumed):
        return 0 if event.target else 1
    return 3 if isinstance(event, TargetReady | TargetLost) else 2
