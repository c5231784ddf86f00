"""What a slot-second buys: rules 1 to 3 of `policies/admitting/rates.py`."""

import math

import pytest

from policies.admitting.rates import FIRST_DECODE_S, FIRST_PREFILL_S, DecodeTable, Pace, PoolRates


def test_the_first_request_replaces_the_guess() -> None:
    pace = Pace(9.0)
    pace.add(10.0, 10, full=False)
    assert pace.value_s == 1.0
    pace.add(30.0, 10, full=False)
    assert pace.value_s == pytest.approx(2.0, abs=0.02)


def test_seconds_over_tokens_not_a_mean_of_ratios() -> None:
    pace = Pace(1.0)
    pace.add(1.0, 1, full=True)
    pace.add(100.0, 1_000, full=True)
    assert pace.value_s == pytest.approx(101 / 1_001, rel=0.01)


def test_a_pace_forgets() -> None:
    pace = Pace(1.0)
    for seconds in (10.0,) * 200 + (20.0,) * 200:
        pace.add(seconds, 10, full=True)
    assert pace.value_s == pytest.approx(2.0, abs=0.02)


def test_rule_1_a_full_pool_replaces_what_an_idle_one_showed() -> None:
    pace = Pace(1.0)
    for _ in range(100):
        pace.add(10.0, 10, full=False)
    for _ in range(20):
        pace.add(50.0, 10, full=True)
    assert pace.value_s > 4.0
    before = pace.value_s
    pace.add(10.0, 10, full=False)
    assert pace.value_s == before


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_rule_3_what_is_no_time_is_left_out(seconds: float) -> None:
    pace, rates = Pace(1.0), PoolRates()
    pace.add(seconds, 10, full=True)
    rates.began(100, seconds, full=True)
    rates.ended(100, seconds, full=True)
    assert (pace.value_s, rates.prefill_s, rates.decode_s) == (1.0, FIRST_PREFILL_S, FIRST_DECODE_S)
    assert rates.first_token_s == 0.0


def test_cost_is_prompt_and_answer_at_their_rates() -> None:
    rates = PoolRates()
    assert rates.cost_s(1_000, 100) == pytest.approx(1_000 * FIRST_PREFILL_S + 100 * FIRST_DECODE_S)
    rates.began(1_000, 10.05, full=True)
    rates.ended(101, 10.0, full=True)
    assert rates.prefill_s == pytest.approx(0.01)
    assert rates.decode_s == pytest.approx(0.1)


def test_rule_2_the_time_to_the_first_token_learns_from_every_request() -> None:
    rates = PoolRates()
    assert rates.until_first_token_s(1_000) == 0.0
    for _ in range(200):
        rates.began(1_000, 10.0, full=True)
    full_s = rates.until_first_token_s(1_000)
    for _ in range(200):
        rates.began(1_000, 1.0, full=False)
    assert rates.until_first_token_s(1_000) < full_s / 5


def test_rule_2_it_is_a_60_per_cent_quantile() -> None:
    rates = PoolRates()
    samples = [1.0, 1.0, 1.0, 4.0, 4.0] * 400
    below = 0
    for sample in samples:
        rates.began(1_000, sample, full=True)
        below += sample <= rates.until_first_token_s(1_000)
    assert below / len(samples) == pytest.approx(0.6, abs=0.15)


def test_the_shortest_prompts_and_answers_tell_nothing() -> None:
    rates = PoolRates()
    rates.began(2, 10.0, full=True)
    rates.ended(2, 10.0, full=True)
    assert (rates.first_token_s, rates.decode_s) == (0.0, FIRST_DECODE_S)


def test_the_decode_table_is_made_monotone() -> None:
    table = DecodeTable()
    for rows, step_s in ((4, 0.05), (1, 0.02), (2, 0.04), (3, 0.03)):
        table.stepped(rows, step_s)
    assert table.rows() == ((1, 0.02), (2, 0.04), (3, 0.04), (4, 0.05))
