"""The same seed asks the same, and no two prompts begin alike."""

import itertools
import random
from collections import Counter
from statistics import fmean, pstdev

from bench.pool_admission.workload import FLOOD, LIGHT, PROMPT, SHAPES, arrivals, schedule

RATES = {"light": 1.3, "flood": 2.0}


def test_the_same_seed_is_the_same_and_another_is_another() -> None:
    assert schedule(RATES, 60, 7) == schedule(RATES, 60, 7)
    assert schedule(RATES, 60, 7) != schedule(RATES, 60, 8)


def test_another_rate_moves_requests_and_changes_none() -> None:
    slow, fast = arrivals(LIGHT, 1.0, 100, 3), arrivals(LIGHT, 2.0, 100, 3)
    assert len(fast) > len(slow)
    assert [each.body for each in slow] == [each.body for each in fast[: len(slow)]]
    assert all(2 * late.at_s >= early.at_s for late, early in zip(slow, fast, strict=False))


def test_one_team_does_not_depend_on_the_others() -> None:
    alone = schedule({"light": 1.3}, 60, 7)
    assert alone == [each for each in schedule(RATES, 60, 7) if each.team == "light"]
    assert schedule({"light": 0.0}, 60, 7) == []


def test_a_schedule_is_in_order_and_within_its_time() -> None:
    moments = [each.at_s for each in schedule(RATES, 60, 7)]
    assert moments == sorted(moments)
    assert all(0 < moment < 60 for moment in moments)


def test_no_two_prompts_begin_alike() -> None:
    prompts = [each.body["prompt"] for each in schedule(RATES, 300, 1)]
    heads = Counter(prompt.split(" of ")[0] for prompt in prompts)
    assert len(prompts) > 500
    assert max(heads.values()) == 1


def test_arrivals_have_their_rate_and_their_spread() -> None:
    for shape, cv in ((LIGHT, 1.0), (FLOOD, 3.0)):
        moments = [each.at_s for each in arrivals(shape, 2.0, 5000, 1)]
        gaps = [after - before for before, after in itertools.pairwise(moments)]
        assert abs(len(moments) / 5000 - 2.0) < 0.2
        assert abs(pstdev(gaps) / fmean(gaps) - cv) < 0.15 * cv


def test_a_spread_covers_all_lengths_evenly_and_is_the_same_each_time() -> None:
    first, second = (FLOOD.spread(random.Random(1), 40) for _ in range(2))
    words = sorted(len(each.body["prompt"].split()) for each in first)
    low, high = FLOOD.words
    assert first == second
    assert words[0] < low * 1.1 + 12
    assert words[-1] > high * 0.9
    assert len(first) == 40


def test_the_team_with_half_a_second_keeps_within_its_terms() -> None:
    longest = max(len(each.body["prompt"].split()) for each in arrivals(PROMPT, 1.0, 2000, 1))
    assert longest <= 80  # of these words none has more than two tokens
    assert PROMPT.output_cap == 16
    assert set(SHAPES) == {"light", "flood", "prompt"}
