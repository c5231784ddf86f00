"""Lengths of answers: the finest histogram with enough samples speaks, and its hazard says when a slot comes free."""

import math
import random

import pytest

from policies.admitting import output_lengths
from policies.admitting.output_lengths import ENOUGH, FIRST_GUESS_TOKENS, LengthHistogram, OutputLengths
from tests.unit.policies.queue_driver import ticket


def histogram(*lengths: int) -> LengthHistogram:
    found = LengthHistogram()
    for tokens in lengths:
        found.add(tokens)
    return found


def test_before_any_sample_a_guess_capped_by_the_request_is_expected() -> None:
    lengths = OutputLengths()
    assert lengths.expected_tokens(ticket(1)) == FIRST_GUESS_TOKENS
    assert lengths.expected_tokens(ticket(1, output_cap=10)) == 10
    assert lengths.expected_tokens(ticket(1, kind="embedding")) == 0.0


def test_a_class_with_few_samples_is_judged_by_its_model() -> None:
    lengths = OutputLengths()
    for _ in range(ENOUGH - 1):
        lengths.add(ticket(1, "a"), 10)
    for _ in range(ENOUGH):
        lengths.add(ticket(1, "b", traits="json"), 1_000)
    assert lengths.expected_tokens(ticket(1, "b", traits="json")) == pytest.approx(1_000)
    assert 10 < lengths.expected_tokens(ticket(1, "a")) < 1_000, "the model's of all"
    lengths.add(ticket(1, "a"), 10)
    assert lengths.expected_tokens(ticket(1, "a")) == pytest.approx(10)
    assert lengths.expected_tokens(ticket(1, "c")) == pytest.approx(10), "its model's of that class"


def test_few_samples_are_better_than_none() -> None:
    lengths = OutputLengths()
    lengths.add(ticket(1), 10)
    assert lengths.expected_tokens(ticket(1)) == pytest.approx(10)


def test_the_hazard_of_a_memoryless_length_is_one_over_its_mean() -> None:
    chance = random.Random(1)
    found = histogram(*(1 + int(chance.expovariate(1 / 200)) for _ in range(5_000)))
    for tokens in (0, 100, 300):
        assert found.hazard(tokens) == pytest.approx(1 / 200, rel=0.5)


def test_the_hazard_of_a_fixed_length_rises_when_it_is_near() -> None:
    found = histogram(*[200] * 50)
    assert found.hazard(0) < found.hazard(190)


def test_beyond_all_that_was_seen_the_tail_is_heavy() -> None:
    found = histogram(*[50] * 50)
    assert found.hazard(5_000) == 1 / 5_000


def test_near_its_cap_an_answer_is_sure_to_end() -> None:
    lengths = OutputLengths()
    for _ in range(ENOUGH):
        lengths.add(ticket(1), 2_000)
    assert lengths.hazard(ticket(1, output_cap=100), 90) == pytest.approx(1 / 10)
    assert lengths.hazard(ticket(1, output_cap=100), 200) == 1.0
    assert lengths.hazard(ticket(1, output_cap=4_096), 10) < 1 / 10


def test_old_samples_fade_and_the_weights_stay_finite() -> None:
    found = histogram(*[10] * 300, *[1_000] * 1_500)
    assert found.mean_tokens == pytest.approx(1_000, rel=0.01)
    for _ in range(6_000):
        found.add(70_000)
    assert all(math.isfinite(mass) for mass in found._mass)
    assert found.samples == 7_800


def test_an_answer_of_nothing_counts_as_the_shortest() -> None:
    assert histogram(0, 0).mean_tokens == 0.0


def test_the_least_recently_used_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_lengths, "MAX_HISTOGRAMS", 6)
    lengths = OutputLengths()
    for number in range(10):
        lengths.add(ticket(1, f"t{number}", traits=f"trait{number}"), 10)
    assert len(lengths._histograms) == 6
    assert ("m",) in lengths._histograms, "used each time"
