"""What the queue decides; one dispatcher carries it out."""

from msgspec import Struct

from policies.admitting.ticket import RefusalReason, Ticket


class Forecast(Struct, frozen=True, kw_only=True):
    """What is known of a wait when a request comes: seconds from its arrival to its slot.

    `raw_s` is what the model of the queue predicts. By how such predictions turned out follow from it `wait_s`, the
    mean, which the caller is told; `likely_s`, the quantile that admission judges by; and `p90_s`, the 90 % quantile.
    `position` is the place among the team's own waiters, 1 first, 0 when it does not wait.
    `prefill_s` is the time from slot to first token. `would_refuse`: a promise that only reports would have refused.
    """

    raw_s: float = 0.0
    wait_s: float = 0.0
    likely_s: float = 0.0
    p90_s: float = 0.0
    prefill_s: float = 0.0
    position: int = 0
    would_refuse: bool = False


class Dispatch(Struct, frozen=True, tag=True):
    """Run this ticket on this target now. `fence` is the epoch of whoever decided it, 0 for a gateway alone.

    `forecast` is what was known of its wait when it came.
    """

    ticket: Ticket
    target: str
    fence: int = 0
    forecast: Forecast = Forecast()


class Refuse(Struct, frozen=True, tag=True):
    """Turn this ticket away; `reason` is the code told to the caller.

    `retry_after_s` is the moment booked for it, from now; None: there is none within reach, so no retry helps.
    """

    ticket: Ticket
    reason: RefusalReason
    retry_after_s: float | None
    forecast: Forecast = Forecast()


class Waits(Struct, frozen=True, tag=True):
    """The ticket was let in and waits."""

    ticket: Ticket
    forecast: Forecast


Effect = Dispatch | Refuse | Waits
