"""How fast a pool worked, estimated from the times in the log: for when no gateway runs that measured it.

A logged time is that of a request among others, so it holds what their prompts took of its steps too. The simulated
engine adds that by itself; so the least disturbed quarter of the requests speaks for all.

Rules:
(1) Decode: seconds for each output token after the first, by how many ran on the target meanwhile (the mean over that
    time, rounded). More at once are never faster. A number seen too seldom is read between its neighbours.
(2) Prefill: seconds from slot to first token for each prompt token that was not remembered, less the others' decoding
    in the steps that carried the prompt's chunks (engine_model).
(3) A target's slots are the most that ever ran on it at once: at least so many it has.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate, pairwise
from statistics import quantiles

from gateway.simulating.engine_model import EngineModel, step_between
from gateway.simulating.logged_traffic import LoggedRequest

CHUNK_TOKENS = 512.0
"""llama.cpp's default `n_ubatch`; the log does not say what the engine was set to."""
FEWEST_SAMPLES = 5
FEWEST_PROMPT_TOKENS = 64
"""The first token of a shorter prompt is mostly the step it waits for."""
FEWEST_OUTPUT_TOKENS = 8
SETTLING_S = 0.1
"""A slot is given on before the request that held it is recorded; so long at its end does not count as holding one."""
LEAST_OWN_SHARE = 0.25
"""What a prompt is taken to need of its time at least, where the others' decoding seems to leave it less."""


class NoRates(Exception):
    """No speed can be told; the message is one line with the remedy."""


def model_from_log(requests: list[LoggedRequest]) -> EngineModel:
    """The pool as the served requests' own times show it. Raises NoRates when too few of them say anything."""
    targets: dict[str, list[LoggedRequest]] = {}
    for each in requests:
        if each.target:
            targets.setdefault(each.target, []).append(each)
    loads = [TargetLoad(each) for each in targets.values()]
    slots = max((load.most for load in loads), default=1)
    known = _decode_steps(sample for load in loads for sample in load.decode_samples())
    if not known:
        raise NoRates("too few logged answers to tell the speed: name a longer stretch, or say it with the flags")
    decode_s = (0.0, *(step_between(known, number) for number in range(1, slots + 1)))
    prefill_s = _prefill_s((sample for load in loads for sample in load.prefill_samples()), decode_s)
    if prefill_s is None:
        raise NoRates("too few logged prompts to tell the speed: name a longer stretch, or say it with the flags")
    return EngineModel(
        workers=len(loads),
        slots=slots,
        decode_s=decode_s,
        prefill_tokens_per_s=1 / prefill_s,
        chunk_tokens=CHUNK_TOKENS,
    )


class TargetLoad:
    """How many ran on one target at each moment, from when they got their slot to when they were over."""

    def __init__(self, requests: list[LoggedRequest]) -> None:
        self._requests = requests
        edges = [(each.at_s + each.queued_s, 1) for each in requests]
        edges += [(each.at_s + max(each.took_s, each.queued_s), -1) for each in requests]
        edges.sort()  # at one moment the ends come first
        self._at_s = [at_s for at_s, _ in edges]
        self._running = list(accumulate(step for _, step in edges))
        spans_s = [after - before for before, after in pairwise(self._at_s)]
        served_s = (span_s * running for span_s, running in zip(spans_s, self._running, strict=False))
        self._served_s = [0.0, *accumulate(served_s)]
        self.most = _most_at_once(requests)

    def mean_running(self, from_s: float, to_s: float) -> float:
        """The mean over a stretch of time that has a length."""
        return (self._until_s(to_s) - self._until_s(from_s)) / (to_s - from_s)

    def decode_samples(self) -> Iterable[tuple[int, float]]:
        """For each answer long enough: how many ran meanwhile, itself too, and its seconds for a token."""
        for each in self._requests:
            if each.first_s is None or each.output_tokens < FEWEST_OUTPUT_TOKENS or each.took_s <= each.first_s:
                continue
            running = self.mean_running(each.at_s + each.first_s, each.at_s + each.took_s)
            yield max(1, round(running)), (each.took_s - each.first_s) / (each.output_tokens - 1)

    def prefill_samples(self) -> Iterable[tuple[int, float]]:
        """For each prompt long enough: how many others ran meanwhile, and its seconds for a token."""
        for each in self._requests:
            uncached_tokens = each.prompt_tokens - each.cached_tokens
            if each.first_s is None or uncached_tokens < FEWEST_PROMPT_TOKENS or each.first_s <= each.queued_s:
                continue
            running = self.mean_running(each.at_s + each.queued_s, each.at_s + each.first_s)
            yield max(0, round(running) - 1), (each.first_s - each.queued_s) / uncached_tokens

    def _until_s(self, at_s: float) -> float:
        """Request-seconds from the first edge to `at_s`, which is not before it."""
        place = bisect_right(self._at_s, at_s) - 1
        return self._served_s[place] + (at_s - self._at_s[place]) * self._running[place]


def _most_at_once(requests: list[LoggedRequest]) -> int:
    edges = [(each.at_s + each.queued_s, 1) for each in requests]
    edges += [(each.at_s + max(each.took_s - SETTLING_S, each.queued_s), -1) for each in requests]
    edges.sort()
    return max(1, *accumulate(step for _, step in edges))


def _decode_steps(samples: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    by_running: dict[int, list[float]] = {}
    for running, decode_s in samples:
        by_running.setdefault(running, []).append(decode_s)
    table, most_s = [], 0.0
    for running, found in sorted(by_running.items()):
        if len(found) >= FEWEST_SAMPLES:
            most_s = max(most_s, _least_disturbed(found))
            table.append((running, most_s))
    return table


def _prefill_s(samples: Iterable[tuple[int, float]], decode_s: tuple[float, ...]) -> float | None:
    found = []
    for others, token_s in samples:
        others_s = decode_s[min(others, len(decode_s) - 1)] / CHUNK_TOKENS
        found.append(max(token_s - others_s, token_s * LEAST_OWN_SHARE))
    return _least_disturbed(found) if len(found) >= FEWEST_SAMPLES else None


def _least_disturbed(found: list[float]) -> float:
    return quantiles(found, n=4)[0]
