"""What the engine promises of itself, each promise beside what was measured. Pure.

A bound counts as missed only where the whole interval lies outside; one whose ways did not run is said to be open.

 1. The loop and the worker at or above llama-server, at every number of streams, all at once or one after another.
 2. The loop within 3 % of raw C: with prompts, and in steps that only decode.
 3. Python below 3 % of a step.
 4. 16 streams: the model is computed at least 95 % of the time; the 99th percentile of the times between tokens is
    at most 3 times their median.
 5. Eight requests with one prefix of 512 tokens: at least twice llama-server, at least 3 times one at a time.
 6. A 4-bit file takes at least 60 % less memory than the same model in 16 bits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from bench.engine import figures
from bench.engine.sample import Sample
from bench.engine.workload import ALONE, GREEDY, SAMPLED, SHARED, STREAMS, SUSTAINED, TWO_THREADS
from bench.pool_admission.statistics import Figure

LOOP, WORKER, GATEWAY = "loop in process", "worker through its socket", "gateway, everything on"
SERVER, RAW = "llama-server", "raw C (llama-batched-bench)"
NEAR_RAW, PYTHON, BUSY, TAIL, SHARING, BATCHING, LIGHTER = 0.97, 0.03, 0.95, 3.0, 2.0, 3.0, 0.6
FULL = max(STREAMS)

Bound = dict[str, Any]


def all_bounds(samples: Sequence[Sample], memory: Sequence[dict[str, Any]]) -> list[Bound]:
    """Every bound, in the order of the head."""
    return [
        *_beside_the_server(samples),
        *_beside_raw_c(samples),
        *_inside(samples),
        *_sharing(samples),
        *_memory(memory),
    ]


def _beside_the_server(samples: Sequence[Sample]) -> list[Bound]:
    found = []
    cells = [(load, streams) for load in (GREEDY, SAMPLED) for streams in STREAMS]
    for load, streams in (*cells, (SUSTAINED, FULL)):
        server = figures.of_cell(samples, load, streams, SERVER)
        for way in (LOOP, WORKER):
            figure = figures.ratio(figures.of_cell(samples, load, streams, way), server)
            found.append(_least(f"{way} / {SERVER}", f"{load}, {streams}", figure, 1.0))
    return found


def _beside_raw_c(samples: Sequence[Sample]) -> list[Bound]:
    found = []
    for load, counts in ((GREEDY, STREAMS), (TWO_THREADS, (1, 4, FULL))):
        for streams in counts:
            loop = figures.of_cell(samples, load, streams, LOOP)
            raw = figures.of_cell(samples, load, streams, RAW)
            where = f"{load}, {streams}"
            found.append(_least(f"{LOOP} / raw C, prompts too", where, figures.ratio(loop, raw), NEAR_RAW))
            decoding = figures.ratio(loop, raw, figures.answer_rate)
            found.append(_least(f"{LOOP} / raw C, only decoding", where, decoding, NEAR_RAW))
    return found


def _inside(samples: Sequence[Sample]) -> list[Bound]:
    found = []
    for streams in STREAMS:
        loop = figures.of_cell(samples, GREEDY, streams, LOOP)
        share = figures.average(loop, figures.python_share)
        found.append(_most("Python's share of a step", f"{GREEDY}, {streams}", share, PYTHON))
    for load in (GREEDY, SAMPLED, SUSTAINED):
        worker = figures.of_cell(samples, load, FULL, WORKER)
        busy = figures.average(worker, figures.decode_share)
        found.append(_least("decoding, of the wall time", f"{load}, {FULL}", busy, BUSY))
        slow = figures.average(worker, figures.tail)
        found.append(_most("p99 / median between tokens", f"{load}, {FULL}", slow, TAIL))
    return found


def _sharing(samples: Sequence[Sample]) -> list[Bound]:
    worker = figures.of_cell(samples, SHARED, 8, WORKER)
    together = figures.ratio(worker, figures.of_cell(samples, SHARED, 8, SERVER))
    alone = figures.ratio(worker, figures.of_cell(samples, ALONE, 1, SERVER))
    return [
        _least(f"{WORKER} / {SERVER}", f"{SHARED}, 8", together, SHARING),
        _least(f"{WORKER} / {SERVER} one at a time", f"{SHARED}, 8", alone, BATCHING),
    ]


def _memory(memory: Sequence[dict[str, Any]]) -> list[Bound]:
    whole = next((each for each in memory if each["format"] == "F16"), None)
    if whole is None:
        return []
    found = []
    for each in memory:
        if each["format"].startswith("Q4"):
            for what in ("file", "loaded"):
                saved = 1 - each[f"{what}_bytes"] / whole[f"{what}_bytes"]
                exact = Figure(saved, saved, saved, 1)
                found.append(_least(f"{what} in {each['format']}, less than in F16 by", "weights", exact, LIGHTER))
    return found


def _least(bound: str, where: str, figure: Figure, value: float) -> Bound:
    return _bound(bound, where, figure, f"at least {value:g}", lambda: figure.at_least(value))


def _most(bound: str, where: str, figure: Figure, value: float) -> Bound:
    return _bound(bound, where, figure, f"at most {value:g}", lambda: figure.at_most(value))


def _bound(bound: str, where: str, figure: Figure, value: str, holds: Callable[[], bool]) -> Bound:
    verdict = "open" if math.isnan(figure.value) else ("yes" if holds() else "no")
    return {"bound": bound, "where": where, "asked": value, "figure": figure.told(), "holds": verdict}
