"""The loads: exact numbers of tokens, the same for the same seed, and a prefix shared only where it is meant to be."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engine import workload
from bench.engine.workload import COMMON, Load, Prompts, one_token_words, request_options

IDS = {f" {word}": 100 + number for number, word in enumerate(COMMON)}


def tokenize(text: str) -> list[int]:
    """A vocabulary in which every word of the list is one token behind its space."""
    return [IDS[f" {word}"] for word in text.split()]


def letters(text: str) -> Sequence[int]:
    """A vocabulary without words."""
    return list(text.encode())


@given(
    seed=st.integers(0, 1000),
    requests=st.integers(1, 16),
    tokens=st.integers(2, 200),
    bos=st.sampled_from([(), (1,)]),
)
def test_every_prompt_has_the_tokens_asked_for(seed: int, requests: int, tokens: int, bos: tuple[int, ...]) -> None:
    load = Load(name="x", streams=1, requests=requests, prompt_tokens=tokens + len(bos))
    made = Prompts(tokenize, bos).of(load, seed)
    assert [len(prompt.ids) for prompt in made] == [tokens + len(bos)] * requests
    assert all(prompt.ids == (*bos, *tokenize(prompt.text)) for prompt in made)
    assert len({prompt.ids[len(bos)] for prompt in made}) == requests  # none begins as another does


@given(seed=st.integers(0, 1000), bos=st.sampled_from([(), (1,)]))
def test_a_shared_prefix_is_as_long_as_asked(seed: int, bos: tuple[int, ...]) -> None:
    load = Load(name="x", streams=8, requests=8, prompt_tokens=40, shared_tokens=32)
    made = Prompts(tokenize, bos).of(load, seed)
    assert len({prompt.ids[:32] for prompt in made}) == 1
    assert len({prompt.ids[:33] for prompt in made}) == 8
    assert all(len(prompt.ids) == 40 for prompt in made)


def test_a_round_is_asked_the_same_by_every_way_and_another_round_something_else() -> None:
    load = Load(name="x", streams=4, requests=4)
    made = Prompts(tokenize)
    assert made.of(load, 1) == made.of(load, 1)
    assert not {each.ids for each in made.of(load, 1)} & {each.ids for each in made.of(load, 2)}


def test_a_vocabulary_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="only 0 of"):
        one_token_words(letters)


def test_a_text_that_is_cut_otherwise_is_refused() -> None:
    def merges(text: str) -> list[int]:
        return tokenize(text)[: 1 if text.count(" ") == 1 else 7]

    with pytest.raises(ValueError, match="came out with 7 tokens and not 20"):
        Prompts(merges).of(Load(name="x", streams=1, requests=1, prompt_tokens=20), 1)


def test_the_loads_of_the_full_size() -> None:
    found = workload.full()
    assert [each.streams for each in found if each.name == workload.GREEDY] == [1, 2, 4, 8, 16]
    assert [each.streams for each in found if each.name == workload.SAMPLED] == [1, 2, 4, 8, 16]
    assert [(each.streams, each.requests) for each in found if each.name == workload.SUSTAINED] == [(16, 48)]
    assert {each.threads for each in found if each.name == workload.TWO_THREADS} == {2}
    assert all(each.requests % each.streams == 0 for each in found)
    assert all(each.prompt_tokens + each.output_tokens <= 1024 for each in found)


def test_the_small_loads_are_small() -> None:
    assert sum(each.expected_tokens for each in workload.small()) == 2 * 8 + 4 * 8
    assert [each.shared_tokens for each in workload.small()] == [0, 96]


def test_one_sampling_for_all_ways() -> None:
    load = Load(name="x", streams=1, requests=1, temperature=0.8)
    options = request_options(load, 7)
    sampling = load.sampling(7)
    assert options["seed"] == sampling.seed == 7
    for name in ("temperature", "top_k", "top_p", "min_p", "repeat_penalty"):
        assert options[name] == getattr(sampling, name)
    assert options["num_predict"] == load.output_tokens
