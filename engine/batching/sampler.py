"""How the next token of one request is chosen.

Rules:
 1. The chain is: penalties, then top-k, typical, top-p, min-p, temperature and a seeded draw. A stage that would
    change nothing is left out. At temperature 0 it is penalties, then the likeliest token.
 2. A grammar is checked, then masked: the chain draws without it, the grammar tests the one candidate, and
    only when it refuses is the whole vocabulary masked and drawn from again. Ten times cheaper than the grammar
    first, and the same distribution over allowed tokens up to renormalisation in the second draw.
 3. When the grammar allows no token at all, that is a fault of this request.
 4. Logprobs are the log-softmax of the raw logits: before penalties, temperature and grammar.
"""

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from policies.call import Sampling

Row = NDArray[np.float32]
Stage = tuple[str, tuple[float, ...]]

# Dividing logits by less overflows float32 to infinities, and what remains of them is the likeliest token.
LEAST_TEMPERATURE = 1e-3
# 2^32 - 1 is llama.cpp's word for "draw a seed yourself"; a given seed must never become it.
SEEDS = 2**32 - 1
GREEDY: Stage = ("greedy", ())


class SamplingFault(Exception):
    """This request cannot be sampled; the message is one sentence."""


def check_sampling(sampling: Sampling) -> None:
    """Raise SamplingFault for numbers llama.cpp would abort on, not refuse (an assertion is the process's end)."""
    numbers = (
        sampling.temperature,
        sampling.top_p,
        sampling.min_p,
        sampling.typical_p,
        sampling.repeat_penalty,
        sampling.presence_penalty,
        sampling.frequency_penalty,
    )
    if not all(math.isfinite(number) for number in numbers):
        raise SamplingFault("a sampling parameter is not a finite number")
    if sampling.repeat_penalty <= 0:
        raise SamplingFault("repeat_penalty must be above 0")


def chain_stages(sampling: Sampling, *, vocabulary_size: int, context_tokens: int) -> list[Stage]:
    """The chain as names and arguments of llama.cpp's samplers, in order."""
    stages: list[Stage] = []
    if window := penalty_window(sampling, context_tokens):
        factors = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        stages.append(("penalties", (vocabulary_size, window, *factors)))
    if sampling.temperature < LEAST_TEMPERATURE:
        return [*stages, GREEDY]
    if sampling.top_k > 0:
        stages.append(("top_k", (min(sampling.top_k, vocabulary_size),)))
    if sampling.typical_p < 1:
        stages.append(("typical", (sampling.typical_p, 1)))
    if sampling.top_p < 1:
        stages.append(("top_p", (sampling.top_p, 1)))
    if sampling.min_p > 0:
        stages.append(("min_p", (sampling.min_p, 1)))
    return [*stages, ("temp", (sampling.temperature,)), ("dist", ((sampling.seed or 0) % SEEDS,))]


def penalty_window(sampling: Sampling, context_tokens: int) -> int:
    """How many last tokens are penalised, 0 for none; -1 asks for the whole context."""
    neutral = sampling.repeat_penalty == 1 and sampling.presence_penalty == 0 and sampling.frequency_penalty == 0
    if neutral:
        return 0
    return context_tokens if sampling.repeat_last_n < 0 else min(sampling.repeat_last_n, context_tokens)


def log_probabilities(row: Row) -> NDArray[np.float64]:
    """Natural-log probabilities of every token, from one row of raw logits."""
    logits = row.astype(np.float64)
    logits -= logits.max()
    result: NDArray[np.float64] = logits - np.log(np.exp(logits).sum())
    return result


def likeliest(logprobs: NDArray[np.float64], count: int) -> list[int]:
    """The `count` likeliest token ids, likeliest first, the lower id first among equals."""
    count = min(count, len(logprobs))
    if count <= 0:
        return []
    bound = np.partition(logprobs, len(logprobs) - count)[len(logprobs) - count]
    ids = np.flatnonzero(logprobs >= bound)
    order = np.lexsort((ids, -logprobs[ids]))
    return [int(token_id) for token_id in ids[order][:count]]


class Candidates(Protocol):
    """The tokens to choose from, as llama.cpp's samplers see them."""

    def fill(self, row: Row) -> None: ...
    def fill_one(self, token_id: int) -> None: ...
    def first_allowed(self) -> bool: ...
    def selected(self) -> tuple[int, bool]: ...


class Filter(Protocol):
    """A chain or a grammar: narrows or chooses candidates, and learns what was taken."""

    def apply(self, candidates: Any) -> None: ...
    def accept(self, token_id: int) -> None: ...
    def close(self) -> None: ...


class TokenSampler:
    """Chooses the tokens of one request, in order. `greedy`: the chain does no more than take the likeliest."""

    def __init__(self, candidates: Candidates, chain: Filter, *, greedy: bool, grammar: Filter | None = None) -> None:
        self._candidates = candidates
        self._chain = chain
        self._greedy = greedy
        self._grammar = grammar

    def observe(self, token_id: int) -> None:
        """Let the penalties see a token of the prompt."""
        self._chain.accept(token_id)

    def choose(self, row: Row) -> int:
        """The next token for one row of logits. Raises SamplingFault."""
        token_id = self._draw(row)
        if self._grammar is not None:
            if not self._allows(self._grammar, token_id):
                token_id = self._draw_masked(self._grammar, row)
            self._grammar.accept(token_id)
        self._chain.accept(token_id)
        return token_id

    def close(self) -> None:
        self._chain.close()
        if self._grammar is not None:
            self._grammar.close()

    def _draw(self, row: Row) -> int:
        if self._greedy:
            return int(row.argmax())
        self._candidates.fill(row)
        return self._chosen_by_chain()

    def _allows(self, grammar: Filter, token_id: int) -> bool:
        self._candidates.fill_one(token_id)
        grammar.apply(self._candidates)
        return self._candidates.first_allowed()

    def _draw_masked(self, grammar: Filter, row: Row) -> int:
        self._candidates.fill(row)
        grammar.apply(self._candidates)
        return self._chosen_by_chain()

    def _chosen_by_chain(self) -> int:
        self._chain.apply(self._candidates)
        token_id, possible = self._candidates.selected()
        if not possible:
            raise SamplingFault("the grammar allows no further token")
        return token_id
