"""The chain, the grammar checked and then masked, and logprobs."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.batching.sampler import (
    GREEDY,
    SEEDS,
    SamplingFault,
    TokenSampler,
    chain_stages,
    check_sampling,
    likeliest,
    log_probabilities,
    penalty_window,
)
from policies.call import Sampling

NEUTRAL = Sampling(temperature=0.0, seed=1)


def stages(sampling: Sampling) -> list[tuple[str, tuple[float, ...]]]:
    return chain_stages(sampling, vocabulary_size=1000, context_tokens=256)


def test_the_default_chain_in_order() -> None:
    assert stages(Sampling(seed=7)) == [("top_k", (40,)), ("top_p", (0.9, 1)), ("temp", (0.8,)), ("dist", (7,))]


def test_every_stage_in_order() -> None:
    sampling = Sampling(
        temperature=1.5, top_k=5000, top_p=0.5, min_p=0.1, typical_p=0.7, repeat_last_n=-1, repeat_penalty=1.1,
        presence_penalty=0.2, frequency_penalty=0.3, seed=7,
    )  # fmt: skip

    assert stages(sampling) == [
        ("penalties", (1000, 256, 1.1, 0.3, 0.2)),
        ("top_k", (1000,)),
        ("typical", (0.7, 1)),
        ("top_p", (0.5, 1)),
        ("min_p", (0.1, 1)),
        ("temp", (1.5,)),
        ("dist", (7,)),
    ]


def test_stages_that_change_nothing_are_left_out() -> None:
    assert stages(Sampling(top_k=0, top_p=1.0, seed=1)) == [("temp", (0.8,)), ("dist", (1,))]


def test_temperature_0_is_greedy_and_keeps_penalties() -> None:
    assert stages(NEUTRAL) == [GREEDY]
    assert stages(Sampling(temperature=1e-9, seed=1)) == [GREEDY]
    assert stages(Sampling(temperature=0.0, repeat_penalty=1.2)) == [("penalties", (1000, 64, 1.2, 0.0, 0.0)), GREEDY]


@pytest.mark.parametrize("seed", [None, 0, -1, SEEDS, 2**40 + 5])
def test_a_seed_is_never_llamas_word_for_random(seed: int | None) -> None:
    name, (value,) = stages(Sampling(seed=seed))[-1]

    assert name == "dist"
    assert 0 <= value < SEEDS


@pytest.mark.parametrize(
    ("last_n", "penalty", "window"), [(64, 1.0, 0), (0, 1.2, 0), (-1, 1.2, 256), (999, 1.2, 256), (8, 1.2, 8)]
)
def test_how_far_penalties_look(last_n: int, penalty: float, window: int) -> None:
    assert penalty_window(Sampling(repeat_last_n=last_n, repeat_penalty=penalty), 256) == window


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_each_penalty_alone_turns_them_on(name: str) -> None:
    assert penalty_window(msgspec.structs.replace(NEUTRAL, **{name: 0.5}), 256) == 64


@pytest.mark.parametrize(
    "name",
    ["temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"],
)
def test_numbers_that_are_none_are_refused(name: str) -> None:
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(SamplingFault, match="finite"):
            check_sampling(msgspec.structs.replace(NEUTRAL, **{name: value}))
    check_sampling(NEUTRAL)


@pytest.mark.parametrize("penalty", [0.0, -1.0])
def test_a_repeat_penalty_must_be_positive(penalty: float) -> None:
    with pytest.raises(SamplingFault, match="repeat_penalty"):
        check_sampling(Sampling(repeat_penalty=penalty))


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30))
def test_logprobs_are_normal_and_keep_the_order(logits: list[float]) -> None:
    row = np.array(logits, np.float32)
    logprobs = log_probabilities(row)

    assert np.exp(logprobs).sum() == pytest.approx(1)
    assert (logprobs <= 0).all()
    assert logprobs[row.argmax()] == logprobs.max()


@given(st.lists(st.sampled_from([-3.0, -2.0, -1.0]), min_size=1, max_size=20), st.integers(0, 25))
def test_the_likeliest_by_value_then_id(values: list[float], count: int) -> None:
    wanted = sorted(range(len(values)), key=lambda token_id: (-values[token_id], token_id))[:count]

    assert likeliest(np.array(values), count) == wanted


class FakeCandidates:
    """Logits by token id, as the samplers see them."""

    def __init__(self) -> None:
        self.logits: dict[int, float] = {}
        self.chosen: int | None = None

    def fill(self, row: NDArray[np.float32]) -> None:
        self.logits, self.chosen = dict(enumerate(row.tolist())), None

    def fill_one(self, token_id: int) -> None:
        self.logits, self.chosen = {token_id: 0.0}, None

    def first_allowed(self) -> bool:
        return next(iter(self.logits.values())) > -math.inf

    def selected(self) -> tuple[int, bool]:
        if self.chosen is None:
            return -1, False
        return self.chosen, self.logits[self.chosen] > -math.inf


class Part:
    """A chain (takes the likeliest) or a grammar (allows some tokens), with a record of its use."""

    def __init__(self, allowed: set[int] | None = None) -> None:
        self.allowed = allowed
        self.sizes: list[int] = []
        self.accepted: list[int] = []
        self.closed = 0

    def apply(self, candidates: FakeCandidates) -> None:
        self.sizes.append(len(candidates.logits))
        if self.allowed is None:
            candidates.chosen = max(candidates.logits, key=lambda token_id: candidates.logits[token_id])
        else:
            candidates.logits |= dict.fromkeys(candidates.logits.keys() - self.allowed, -math.inf)

    def accept(self, token_id: int) -> None:
        self.accepted.append(token_id)

    def close(self) -> None:
        self.closed += 1


ROW = np.array([0.0, 3.0, 2.0, 1.0], np.float32)


@pytest.mark.parametrize("greedy", [True, False])
def test_without_a_grammar_the_chain_decides(greedy: bool) -> None:
    chain = Part()
    sampler = TokenSampler(FakeCandidates(), chain, greedy=greedy)
    sampler.observe(3)

    assert sampler.choose(ROW) == 1
    assert chain.accepted == [3, 1]
    assert chain.sizes == ([] if greedy else [4])
    sampler.close()
    assert chain.closed == 1


@pytest.mark.parametrize("greedy", [True, False])
def test_an_allowed_token_costs_one_check(greedy: bool) -> None:
    chain, grammar = Part(), Part({1, 2})
    sampler = TokenSampler(FakeCandidates(), chain, greedy=greedy, grammar=grammar)

    assert sampler.choose(ROW) == 1
    assert grammar.sizes == [1]
    assert chain.accepted == grammar.accepted == [1]
    sampler.close()
    assert (chain.closed, grammar.closed) == (1, 1)


@pytest.mark.parametrize("greedy", [True, False])
def test_a_refused_token_masks_the_whole_vocabulary(greedy: bool) -> None:
    chain, grammar = Part(), Part({0, 3})
    sampler = TokenSampler(FakeCandidates(), chain, greedy=greedy, grammar=grammar)

    assert sampler.choose(ROW) == 3
    assert grammar.sizes == [1, 4]
    assert chain.accepted == grammar.accepted == [3]  # the refused one left no trace


def test_a_grammar_that_allows_nothing_is_a_fault_and_accepts_nothing() -> None:
    chain, grammar = Part(), Part(set())
    sampler = TokenSampler(FakeCandidates(), chain, greedy=True, grammar=grammar)

    with pytest.raises(SamplingFault, match="no further token"):
        sampler.choose(ROW)
    assert chain.accepted == grammar.accepted == []
