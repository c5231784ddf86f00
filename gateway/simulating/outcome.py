"""What became of one try of one caller."""

from typing import Literal

from msgspec import Struct

from gateway.simulating.arrivals import Arrival
from policies.admitting.effects import Forecast

End = Literal["served", "refused", "refused_late", "left"]
"""`refused` at arrival, `refused_late` after waiting; `left` is the caller's own going."""


class Outcome(Struct, frozen=True, kw_only=True):
    """One try. Moments are seconds of the simulation, None for what never came; a caller is one `number`.

    `final`: the caller's last try. `booked`: the try came at a moment told to it. `forecast` is what was told on
    letting it wait (None: it did not wait, or the policy predicts nothing). `prompt_tokens` (uncached) and
    `output_tokens` are what the pool really did for it. `retry_after_s` is what a refusal told.
    """

    number: int
    arrival: Arrival
    asked_s: float
    attempt: int
    booked: bool
    end: End
    ended_s: float
    final: bool
    started_s: float | None = None
    first_s: float | None = None
    forecast: Forecast | None = None
    retry_after_s: float | None = None
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0
