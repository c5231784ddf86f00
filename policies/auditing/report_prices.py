"""What the operator takes for what, as a file of theirs says it.

    currency: EUR
    prices:                     # for every model without prices of its own
      prompt_tokens: "0.15"     # a million
      cached_tokens: "0.05"     # a million of the prompt's that were cached already; without it the price of the prompt
      output_tokens: "0.60"     # a million
      slot_hour: "1.20"         # an hour of one slot
    models:
      llama3:70b:
        prompt_tokens: "1.10"
        output_tokens: "4.40"

Prices are decimal numbers in quotes, so that no reader turns them into binary fractions. What has no price is free, and
a model of its own takes none from `prices`. Money is counted exactly and rounded once for each row (half to even) to
`PLACES` digits; a sum is that of the rows as they are shown, so it can be checked by hand.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}
PLACES = 6
UNIT: int = 10**PLACES
"""Amounts are whole numbers of 1/UNIT."""
MILLION = 1_000_000
HOUR_US = 3600 * MILLION
_PRICE = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,12})?\Z")
_CURRENCY = re.compile(r"[A-Za-z0-9€£¥$ ._/-]{1,16}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrices:
    """`prompt_tokens`, `cached_tokens` and `output_tokens` for a million each, `slot_hour` for an hour of one slot.

    Each is a decimal number in quotes.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    prompt_tokens: str = "0"
    cached_tokens: str | None = None
    output_tokens: str = "0"
    slot_hour: str = "0"

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "cached_tokens", "output_tokens", "slot_hour"):
            value = getattr(self, name)
            if value is not None and _PRICE.match(value) is None:
                raise ValueError(
                    f'{name} must be a decimal number of 0 or more, such as "0.15", with 12 digits at most'
                )

    def cost(self, prompt_tokens: int, cached_tokens: int, output_tokens: int, slot_us: int) -> int:
        """What so many tokens and microseconds of a slot cost, in 1/UNIT. The cached ones are of the prompt's."""
        cached = min(cached_tokens, prompt_tokens)
        tokens = (prompt_tokens - cached) * Fraction(self.prompt_tokens) + output_tokens * Fraction(self.output_tokens)
        tokens += cached * Fraction(self.prompt_tokens if self.cached_tokens is None else self.cached_tokens)
        return rounded(tokens / MILLION + slot_us * Fraction(self.slot_hour) / HOUR_US)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The whole file. `currency` is the word that stands behind amounts, `models` are prices by a model's own name."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    currency: str
    prices: ModelPrices = field(default_factory=ModelPrices)
    models: dict[str, ModelPrices] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if _CURRENCY.match(self.currency) is None:
            raise ValueError("currency must be 1 to 16 letters, digits or currency signs, such as EUR")

    def of(self, model: str) -> ModelPrices:
        """The prices of a model, by the name that records give it."""
        return self.models.get(model, self.prices)


def rounded(amount: Fraction) -> int:
    """An exact amount in 1/UNIT, half to even."""
    return round(amount * UNIT)


def amount_text(amount: int) -> str:
    """An amount in 1/UNIT as a decimal number."""
    return f"{amount // UNIT}.{amount % UNIT:0{PLACES}d}"
