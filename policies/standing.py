"""Where a rate stands after a charge, for the caller: what it may still send, and when all of it is free again."""

from typing import Literal

from msgspec import Struct

Whose = Literal["address", "key", "team", "model", "all"]
Unit = Literal["requests", "prompt_tokens", "output_tokens"]


class Standing(Struct, frozen=True):
    """`remaining` of `limit` units are left now; in `reset_s` seconds the limit is as if never used."""

    unit: Unit
    whose: Whose
    limit: int
    remaining: int
    reset_s: float
