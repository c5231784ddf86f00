"""From samples to figures: rates, ratios within rounds, and what a loop says of its own steps."""

import math

import pytest

from bench.engine import figures
from bench.engine.sample import Sample, Steps, Stream, sample_of
from bench.engine.workload import Load

LOAD = Load(name="greedy", streams=2, requests=2, output_tokens=4)


def made(way: str, number: int, wall_s: float, steps: Steps | None = None) -> Sample:
    """Two answers of four tokens, one every second."""
    answers = [Stream([1.0, 2.0, 3.0, 4.0], 4), Stream([2.0, 3.0, 4.0, 8.0], 4)]
    found = sample_of(way, LOAD, number, wall_s, answers)
    return Sample(**{name: getattr(found, name) for name in Sample.__slots__} | {"steps": steps})


STEPS = Steps(decode_s=6.0, sampling_s=1.0, total_s=8.0, steps=10, full_s=2.0, full_tokens=8, prefill_rows=256)


def test_what_a_row_says() -> None:
    found = figures.row([made("loop", 0, 8.0, STEPS), made("loop", 1, 10.0, STEPS), made("loop", 2, 4.0, STEPS)])
    assert (found["tokens"], found["expected_tokens"], found["rounds"]) == (24, 24, 3)
    assert found["tokens_per_s"] == {"median": 1.0, "low": 0.8, "high": 2.0}
    assert found["first_token_ms"] == 2000.0
    assert (found["gap_p50_ms"], found["gap_p99_ms"]) == (1000.0, 4000.0)
    assert found["answer_tokens_per_s"] == 4.0
    assert found["decode_share"] == pytest.approx(0.75)
    assert (found["python_share"], found["sampling_share"]) == (pytest.approx(0.125), pytest.approx(0.125))
    assert found["prefill_rows"] == 256.0
    assert figures.same_work(found)


def test_a_way_that_says_nothing_of_its_steps_has_no_shares() -> None:
    found = figures.row([made("server", 0, 8.0)])
    assert [found[name] for name in ("answer_tokens_per_s", "decode_share", "python_share", "sampling_share")] == [
        None
    ] * 4
    assert found["prefill_rows"] is None


def test_a_way_without_streams_has_no_times() -> None:
    sample = sample_of("raw", LOAD, 0, 2.0, [])
    found = figures.row([sample])
    assert (found["first_token_ms"], found["gap_p50_ms"], found["tokens"]) == (None, None, 0)
    assert not figures.same_work(found)
    assert figures.tail(sample) is None


def test_a_ratio_takes_only_rounds_that_both_have() -> None:
    ours = [made("loop", 0, 4.0), made("loop", 1, 8.0), made("loop", 2, 1.0)]
    theirs = [made("server", 0, 8.0), made("server", 1, 8.0)]
    found = figures.ratio(ours, theirs)
    assert (found.value, found.low, found.high, found.count) == (1.5, 1.0, 2.0, 2)


def test_no_common_round_says_nothing() -> None:
    found = figures.ratio([made("loop", 0, 4.0)], [made("server", 1, 4.0)])
    assert math.isnan(found.value)
    assert math.isnan(figures.average([made("server", 0, 1.0)], figures.decode_share).value)


def test_the_tail_of_the_times_between_tokens() -> None:
    assert figures.tail(made("loop", 0, 8.0)) == 4.0


def test_a_cell_is_its_load_streams_and_way_by_round() -> None:
    samples = [made("loop", 1, 1.0), made("loop", 0, 1.0), made("server", 0, 1.0)]
    assert [each.round for each in figures.of_cell(samples, "greedy", 2, "loop")] == [0, 1]
    assert figures.of_cell(samples, "greedy", 3, "loop") == []
