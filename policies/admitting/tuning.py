"""The constants of admission. The defaults are production's; simulations turn parts of it off."""

from msgspec import Struct


class Tuning(Struct, frozen=True, kw_only=True):
    """What was chosen by simulation (bench/admission), each with its unit.

    `quantile` of the wait that must fit into the promise; `small_quantile` in pools of at most `small_slots` slots,
    where one long answer is a large part of the pool. `credit_requests`: how many of its own requests a team that
    comes back may be ahead of the others (FQ-CoDel's new flows). `booking_margin` is added to the work ahead of one,
    `booking_slack` is the part of the promise that a booked caller may still have to wait. A booking lapses
    `booking_lapse_s` after its moment, counts from `booking_early_s` before it, and is at most `booking_reach_s` ahead:
    openai-python (3.54) does not retry at all above 120 s. `demand_s` is the memory of a team's demand. The three
    switches leave out what their names say.
    """

    quantile: float = 0.7
    small_quantile: float = 0.5
    small_slots: int = 4
    credit_requests: float = 2.0
    booking_margin: float = 0.6
    booking_slack: float = 0.5
    booking_lapse_s: float = 6.0
    booking_early_s: float = 1.0
    booking_reach_s: float = 120.0
    demand_s: float = 60.0
    fair: bool = True
    refuses_early: bool = True
    checks_again: bool = True
