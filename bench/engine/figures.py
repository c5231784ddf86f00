"""From samples to figures: one row for each load and way, and the ratios between two ways in the same round. Pure.

A ratio is the sum of one way's rates over the sum of the other's, over the rounds in which both ran; its interval is
a bootstrap over those rounds. Medians and extremes are over rounds.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from bench.engine.sample import Sample, Steps
from bench.pool_admission.statistics import NOTHING, Figure, ratio_of_sums

SAME_WORK = 0.95
"""A way whose answers ended early produced less than this part of the tokens asked for: its rate is of other work."""

Value = Callable[[Sample], float | None]


def of_cell(samples: Sequence[Sample], load: str, streams: int, way: str) -> list[Sample]:
    """The samples of one load by one way, by round."""
    found = [each for each in samples if (each.load, each.streams, each.way) == (load, streams, way)]
    return sorted(found, key=lambda each: each.round)


def rate(sample: Sample) -> float | None:
    """Output tokens a second, prefill included."""
    return sample.tokens_per_s


def answer_rate(sample: Sample) -> float | None:
    """Output tokens a second in steps that did nothing but give each stream its next token."""
    steps = sample.steps
    return steps.full_tokens / steps.full_s if steps is not None and steps.full_s else None


def decode_share(sample: Sample) -> float | None:
    """The part of the wall time in which the model was computed."""
    return sample.steps.decode_s / sample.wall_s if sample.steps is not None else None


def python_share(sample: Sample) -> float | None:
    """The part of the loop's steps that is neither decoding nor sampling."""
    steps = sample.steps
    if steps is None or not steps.total_s:
        return None
    return (steps.total_s - steps.decode_s - steps.sampling_s) / steps.total_s


def sampling_share(sample: Sample) -> float | None:
    """The part of the loop's steps that went into choosing tokens."""
    steps = sample.steps
    return steps.sampling_s / steps.total_s if steps is not None and steps.total_s else None


def cpu_rate(sample: Sample) -> float | None:
    """Output tokens a processor second: what other load on the machine moves least."""
    return sample.tokens / sample.cpu_s if sample.cpu_s else None


def tail(sample: Sample) -> float | None:
    """The 99th percentile of the times between two tokens over their median."""
    middle, slow = sample.gap_s(0.5), sample.gap_s(0.99)
    return slow / middle if middle and slow else None


def ratio(above: Sequence[Sample], below: Sequence[Sample], value: Value = rate) -> Figure:
    """`value` of the one over that of the other, over the rounds that both have."""
    others = {each.round: value(each) for each in below}
    pairs = [(mine, theirs) for each in above if (mine := value(each)) and (theirs := others.get(each.round))]
    return ratio_of_sums(pairs) if pairs else NOTHING


def average(samples: Sequence[Sample], value: Value) -> Figure:
    """The mean of `value` over the rounds."""
    found = [(each, 1.0) for sample in samples if (each := value(sample)) is not None]
    return ratio_of_sums(found) if found else NOTHING


def row(samples: Sequence[Sample]) -> dict[str, Any]:
    """One cell, of at least one sample."""
    rates = [each.tokens_per_s for each in samples]
    first = samples[0]
    return {
        "load": first.load,
        "streams": first.streams,
        "way": first.way,
        "rounds": len(samples),
        "tokens": sum(each.tokens for each in samples),
        "expected_tokens": sum(each.expected_tokens for each in samples),
        "tokens_per_s": {"median": median(rates), "low": min(rates), "high": max(rates)},
        "answer_tokens_per_s": _median(samples, answer_rate),
        "first_token_ms": _median(samples, lambda each: _ms(each.first_token_s)),
        "gap_p50_ms": _median(samples, lambda each: _ms(each.gap_s(0.5))),
        "gap_p99_ms": _median(samples, lambda each: _ms(each.gap_s(0.99))),
        "decode_share": _median(samples, decode_share),
        "python_share": _median(samples, python_share),
        "sampling_share": _median(samples, sampling_share),
        "cpu_ms_per_token": _median(samples, lambda each: _ms(each.cpu_s / each.tokens if each.cpu_s else None)),
        "prefill_rows": _median(samples, lambda each: _rows(each.steps)),
    }


def same_work(found: dict[str, Any]) -> bool:
    """Whether the row's answers were as long as those asked for."""
    return bool(found["tokens"] >= SAME_WORK * found["expected_tokens"])


def _rows(steps: Steps | None) -> float | None:
    return None if steps is None else float(steps.prefill_rows)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def _median(samples: Sequence[Sample], value: Value) -> float | None:
    found = [each for sample in samples if (each := value(sample)) is not None]
    return median(found) if found else None
