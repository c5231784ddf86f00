"""Where a rate stands after a charge, for its caller; and how much of any limit is in use, for people who look."""

from typing import Literal

from msgspec import Struct

Whose = Literal["address", "key", "team", "model", "all"]
Unit = Literal["requests", "prompt_tokens", "output_tokens"]
LimitName = Literal[
    "requests_per_minute",
    "prompt_tokens_per_minute",
    "output_tokens_per_minute",
    "concurrent_requests",
    "tokens_per_day",
    "tokens_per_month",
]


class Standing(Struct, frozen=True):
    """`remaining` of `limit` units are left now; in `reset_s` seconds the limit is as if never used."""

    unit: Unit
    whose: Whose
    limit: int
    remaining: int
    reset_s: float


class LimitUse(Struct, frozen=True):
    """`used` of `most` units of `limit` (as policy.yaml calls it) are in use by `whose`.

    `figure` is the number in policy.yaml; of a request rate `most` is its burst instead. `reset_s` is the time until
    nothing of it is in use any more if nothing else comes, None where that depends on running requests. `report`: over
    it nothing is refused.
    """

    limit: LimitName
    whose: Whose
    figure: int
    used: int
    most: int
    reset_s: float | None
    report: bool
