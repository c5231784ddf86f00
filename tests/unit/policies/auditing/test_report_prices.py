"""Invariant: money is exact: a sum is the sum, and a row is rounded once."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auditing.report_prices import MILLION, ModelPrices, Prices, amount_text, rounded

COUNTS = st.integers(min_value=0, max_value=10**15)


def test_a_row() -> None:
    prices = ModelPrices(prompt_tokens="0.15", cached_tokens="0.05", output_tokens="0.60", slot_hour="1.20")
    amount = prices.cost(2_000_000, 500_000, 1_000_000, 1_800_000_000)
    assert amount_text(amount) == "1.450000"


def test_without_a_price_for_cached_tokens_they_cost_what_the_prompt_does() -> None:
    assert ModelPrices(prompt_tokens="1").cost(MILLION, MILLION, 0, 0) == MILLION
    assert ModelPrices(prompt_tokens="1", cached_tokens="0").cost(MILLION, 2 * MILLION, 0, 0) == 0


def test_a_model_of_its_own() -> None:
    own = ModelPrices(output_tokens="9")
    prices = Prices(currency="EUR", prices=ModelPrices(prompt_tokens="1"), models={"m:1": own})
    assert prices.of("m:1") is own
    assert prices.of("m:2").prompt_tokens == "1"


def test_half_to_even() -> None:
    assert [rounded(Fraction(n, 2 * MILLION)) for n in (1, 3, 5)] == [0, 2, 2]
    assert amount_text(1_234_567_000_005) == "1234567.000005"


@pytest.mark.parametrize("text", ["", "-1", "1e3", "0,5", "01", ".5", "1.", "NaN", "٣", "1" * 13, "0." + "1" * 13])
def test_what_is_no_price(text: str) -> None:
    with pytest.raises(ValueError, match="slot_hour must be a decimal number"):
        ModelPrices(slot_hour=text)


@pytest.mark.parametrize("text", ["", "x" * 17, "E|R", "EUR\n"])
def test_what_is_no_currency(text: str) -> None:
    with pytest.raises(ValueError, match="currency must be"):
        Prices(currency=text)


@settings(max_examples=200)
@given(COUNTS, COUNTS, COUNTS)
def test_exact_against_fractions(prompt: int, output: int, slot_us: int) -> None:
    prices = ModelPrices(prompt_tokens="0.1", output_tokens="999999999999.999999999999", slot_hour="0.000000000001")
    exact = Fraction(prompt, 10 * MILLION) + output * Fraction(10**24 - 1, 10**12) / MILLION
    exact += Fraction(slot_us, 10**12) / (3600 * MILLION)
    assert abs(Fraction(prices.cost(prompt, 0, output, slot_us), MILLION) - exact) * 2 * MILLION <= 1
