"""What a simulated queue is: told what happens, it answers who starts and who is turned away."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from gateway.simulating.arrivals import Arrival
from policies.admitting.effects import Forecast


class Asked(Struct, frozen=True, kw_only=True):
    """One try of one caller. `id` is this try's, `number` the caller's; `attempt` 0 is the first.

    `booked`: it comes at the moment that it was told. A policy reads all of `arrival` but `output_tokens`.
    """

    id: int
    number: int
    at_s: float
    arrival: Arrival
    attempt: int = 0
    booked: bool = False


class Start(Struct, frozen=True):
    """Give it a slot: of this worker, or (None) of the one with most free slots."""

    asked: Asked
    worker: int | None = None


class TurnAway(Struct, frozen=True):
    """Refuse it. `may_retry` False tells the caller that no retry helps."""

    asked: Asked
    retry_after_s: float | None = None
    may_retry: bool = True
    forecast: Forecast | None = None


class Keep(Struct, frozen=True):
    """It waits; what it was told."""

    asked: Asked
    forecast: Forecast | None = None


Act = Start | TurnAway | Keep


class SimulatedPool(Protocol):
    """What a policy sees of the pool."""

    @property
    def workers(self) -> int: ...

    @property
    def slots(self) -> int:
        """Slots of each worker."""
        ...

    def free_slots(self) -> int: ...

    def answers(self, now_s: float) -> Iterable[tuple[int, int]]:
        """The running tries that have begun to answer, each with the output tokens it has by now."""
        ...


class SchedulingPolicy(Protocol):
    """A queue. Each method but `opened` answers with what is to be done, in order, at once.

    An arrival that no act names is taken to wait. `tick_s` is how often it wants `tick` while somebody waits, None
    for never.
    """

    tick_s: float | None

    def opened(self, pool: SimulatedPool, now_s: float) -> None:
        """Told once, before the first arrival."""
        ...

    def arrived(self, asked: Asked, now_s: float) -> Iterable[Act]: ...

    def began(self, asked: Asked, now_s: float) -> Iterable[Act]:
        """Its first token is there."""
        ...

    def ended(self, asked: Asked, now_s: float) -> Iterable[Act]:
        """It is served, its slot free."""
        ...

    def left(self, asked: Asked, now_s: float) -> Iterable[Act]:
        """The caller is gone without a first token, whether it waited or held a slot."""
        ...

    def tick(self, now_s: float) -> Iterable[Act]: ...
