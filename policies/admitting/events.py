"""What happens to the queue, as values: so that one gateway can tell another's queue."""

from msgspec import Struct

from policies.admitting.ticket import BandTerms, Bounds, Served, Step, TargetFacts, Ticket


class Arrived(Struct, frozen=True, tag=True):
    """A request wants to run."""

    ticket: Ticket
    bounds: Bounds


class Resumed(Struct, frozen=True, tag=True):
    """A request that another gateway's queue had let in before that gateway went: it waits, or runs on `target`."""

    ticket: Ticket
    target: str = ""
    output_tokens: int = 0


class Left(Struct, frozen=True, tag=True):
    """The caller is gone, waiting or running."""

    id: int


class Began(Struct, frozen=True, tag=True):
    """The first token of a running ticket came."""

    id: int


class Grew(Struct, frozen=True, tag=True):
    """A running ticket's answer is `output_tokens` long by now."""

    id: int
    output_tokens: int


class Ended(Struct, frozen=True, tag=True):
    """The work of a running ticket is over."""

    id: int
    served: Served


class SlotTaken(Struct, frozen=True, tag=True):
    """The target had no slot after all."""

    id: int


class Stepped(Struct, frozen=True, tag=True):
    """A target finished a step."""

    target: str
    step: Step


class TargetReady(Struct, frozen=True, tag=True):
    """A target can take work: new, back again, or changed."""

    facts: TargetFacts


class TargetLost(Struct, frozen=True, tag=True):
    """A target cannot take work: dead, held, or known and not yet up."""

    facts: TargetFacts


class BandsChanged(Struct, frozen=True, tag=True):
    """The policy's bands, highest first."""

    bands: tuple[BandTerms, ...]


class Tick(Struct, frozen=True, tag=True):
    """Time passed."""


QueueEvent = (
    Arrived
    | Resumed
    | Left
    | Began
    | Grew
    | Ended
    | SlotTaken
    | Stepped
    | TargetReady
    | TargetLost
    | BandsChanged
    | Tick
)
