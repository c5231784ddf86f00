"""What other scopes have in memory changes no bit of an answer's probabilities.

All slots share one memory, kept apart by llama.cpp's attention mask only. Where a sequence lies does change the
rounding, so every comparison here keeps the layout and changes the neighbour's tokens alone.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.batching.batching import Batching
from engine.batching.llama_backend import LlamaBackend
from engine.frames import Start
from policies.call import Sampling

pytestmark = pytest.mark.e2e

SLOTS, CONTEXT, BATCH = 3, 512, 256
GREEDY = Sampling(temperature=0.0, seed=1)
NEIGHBOUR_TOKENS = 100


@pytest.fixture(scope="module")
def backend(model_file: Path) -> Iterator[LlamaBackend]:
    made = LlamaBackend(model_file, slots=SLOTS, context_tokens=CONTEXT, batch_tokens=BATCH, threads=1)
    made.warm_up()
    yield made
    made.close()


class Run:
    """A loop on emptied memory."""

    def __init__(self, backend: LlamaBackend) -> None:
        self._backend = backend
        self.empty_memory()
        self.probabilities: list[float] = []
        self.cached_tokens = 0

    def empty_memory(self) -> None:
        for slot in range(SLOTS):
            self._backend.cut(slot, 0)
        self.loop = Batching(
            self._backend, slots=SLOTS, context_tokens=CONTEXT, batch_tokens=BATCH, clock=time.monotonic_ns
        )

    def start(self, id_: int, ids: np.ndarray, scope: str, tokens: int) -> None:  # type: ignore[type-arg]
        token_ids = (ids.astype("<i4").tobytes(),)
        assert self.loop.start(
            "o",
            Start(id=id_, token_ids=token_ids, sampling=GREEDY, max_output_tokens=tokens, cache_scope=scope,
                  top_logprobs=5),
        )  # fmt: skip

    def finish(self) -> None:
        """Keep every probability that request 1 saw, the alternatives' too."""
        while self.loop.has_work:
            result = self.loop.step(lambda: False)
            for _, output in result.outputs:
                if output.id == 1:
                    self.probabilities += [top.logprob for one in output.logprobs for top in one.top]
            self.cached_tokens += sum(ended.cached_tokens for _, ended in result.ended if ended.id == 1)


def neighbour(seed: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).integers(10, 40_000, NEIGHBOUR_TOKENS)


def prompt() -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(99).integers(10, 40_000, 60)


def idle_neighbour(run: Run, seed: int) -> None:
    run.start(9, neighbour(seed), "other", 1)
    run.finish()
    run.start(1, prompt(), "own", 4)


def running_neighbour(run: Run, seed: int) -> None:
    run.start(9, neighbour(seed), "other", 8)
    run.start(1, prompt(), "own", 4)


def former_neighbour(run: Run, seed: int) -> None:
    run.start(9, neighbour(seed), "other", 1)
    run.finish()
    run.empty_memory()  # freed cells keep their old numbers until they are written again
    run.start(1, prompt(), "own", 4)


def reused_prefix_beside_a_neighbour(run: Run, seed: int) -> None:
    run.start(9, neighbour(seed), "other", 1)
    run.finish()
    run.start(2, np.append(prompt()[:50], [11, 12, 13]), "own", 1)
    run.finish()
    run.start(1, prompt(), "own", 4)


@pytest.mark.parametrize(
    "begin", [idle_neighbour, running_neighbour, former_neighbour, reused_prefix_beside_a_neighbour]
)
def test_a_neighbours_tokens_change_no_bit(backend: LlamaBackend, begin) -> None:  # type: ignore[no-untyped-def]
    seen = []
    for seed in (1, 2, 3):
        run = Run(backend)
        begin(run, seed)
        run.finish()
        seen.append(run.probabilities)
        assert run.cached_tokens == (50 if begin is reused_prefix_beside_a_neighbour else 0)

    assert len(seen[0]) >= 5
    assert seen[0] == seen[1] == seen[2]


def test_the_comparison_would_notice_a_difference(backend: LlamaBackend) -> None:
    """One token of the prompt itself changed: the same figures must differ, or the test above proves nothing."""
    seen = []
    for token in (100, 101):
        run = Run(backend)
        changed = prompt()
        changed[0] = token
        run.start(1, changed, "own", 4)
        run.finish()
        seen.append(run.probabilities)

    assert seen[0] != seen[1]
