"""What a step of the batching loop is made of: llama_decode, choosing tokens (C and numpy), and Python's rest.

The loop runs in this process on a real model under saturation: a request that ends is followed by another, with a
prompt that nobody asked before. Beside the shares the time of each step is kept, which is the gap between two tokens
of every stream that generates in it.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.batching.batch import Batch
from engine.batching.batching import Batching
from engine.batching.llama_backend import LlamaBackend
from engine.batching.sampler import TokenSampler
from engine.frames import Start
from policies.call import Sampling

BATCH_TOKENS, CONTEXT_TOKENS = 512, 1024
IDS = (10, 40_000)
GREEDY = Sampling(temperature=0.0, seed=1)


class Step(NamedTuple):
    """One step: its rows, its time and what of it went where, in nanoseconds."""

    decode_rows: int
    prefill_rows: int
    took_ns: int
    decode_ns: int
    choose_ns: int


class Load(NamedTuple):
    """`streams` at a time, each with a prompt and an output of so many tokens, evenly drawn."""

    streams: int
    prompt_tokens: tuple[int, int]
    output_tokens: tuple[int, int]


class WatchedBackend(LlamaBackend):
    """Counts the time spent in llama_decode and in choosing tokens, by its `clock`."""

    clock: Callable[[], int] = staticmethod(time.monotonic_ns)
    decode_ns = 0
    choose_ns = 0

    def decode(self, batch: Batch, interrupt: Callable[[], bool] | None) -> int:
        began_ns = self.clock()
        try:
            return super().decode(batch, interrupt)
        finally:
            self.decode_ns += self.clock() - began_ns

    def sampler(self, sampling: Sampling, grammar: str, prompt: NDArray[np.int32]) -> TokenSampler:
        made = super().sampler(sampling, grammar, prompt)
        choose = made.choose

        def timed(row: NDArray[np.float32]) -> int:
            began_ns = self.clock()
            try:
                return choose(row)
            finally:
                self.choose_ns += self.clock() - began_ns

        made.choose = timed  # type: ignore[method-assign]
        return made


def saturated_steps(
    model_file: Path, load: Load, steps: int, *, threads: int = 1, clock: Callable[[], int] = time.monotonic_ns
) -> list[Step]:
    """So many steps, once each of the first requests was followed by another.

    Not once all of them generate: where prompts are long, some are always being read.
    With `time.thread_time_ns` as clock, for loop and figures, others on the machine disturb one thread's steps little.
    """
    backend = WatchedBackend(
        model_file, slots=load.streams, context_tokens=CONTEXT_TOKENS, batch_tokens=BATCH_TOKENS, threads=threads
    )
    backend.clock = clock
    backend.warm_up()
    loop = Batching(
        backend,
        slots=load.streams,
        context_tokens=backend.context_tokens,
        batch_tokens=BATCH_TOKENS,
        clock=clock,
    )
    draw, number, found = random.Random(1), 0, []
    while len(found) < steps:
        while loop.start("bench", _start(draw, number, load)):
            number += 1
        step = _step(loop, backend)
        if number >= 2 * load.streams:
            found.append(step)
    backend.close()
    return found


def shares(steps: list[Step]) -> dict[str, float]:
    """Per cent of the steps' time: llama_decode, choosing tokens, and Python's rest."""
    whole = sum(step.took_ns for step in steps)
    decode, choose = sum(step.decode_ns for step in steps), sum(step.choose_ns for step in steps)
    parts = {"decode": decode, "choose": choose, "python": whole - decode - choose}
    return {f"{name}_percent": round(100 * part / whole, 3) for name, part in parts.items()}


def gaps_ms(steps: list[Step]) -> list[float]:
    """The gaps between two tokens, of all streams that generated."""
    return [step.took_ns / 1e6 for step in steps for _ in range(step.decode_rows)]


def _step(loop: Batching, backend: WatchedBackend) -> Step:
    decode_ns, choose_ns, began_ns = backend.decode_ns, backend.choose_ns, backend.clock()
    result: Any = loop.step(lambda: False)
    return Step(
        result.decode_rows,
        result.prefill_rows,
        backend.clock() - began_ns,
        backend.decode_ns - decode_ns,
        backend.choose_ns - choose_ns,
    )


def _start(draw: random.Random, number: int, load: Load) -> Start:
    ids = [draw.randrange(*IDS) for _ in range(draw.randint(*load.prompt_tokens))]
    return Start(
        id=number,
        token_ids=(np.asarray(ids, "<i4").tobytes(),),
        sampling=GREEDY,
        max_output_tokens=draw.randint(*load.output_tokens),
        cache_scope=f"{number}",
    )
