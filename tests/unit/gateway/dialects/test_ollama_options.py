from typing import Any

import pytest

from gateway.dialects.ollama_options import MAX_OUTPUT_TOKENS, OllamaOptions, read_options, seed_of, stops_of
from policies.call import Sampling
from policies.errors import BadRequest


def sampling(**options: Any) -> Sampling:
    return read_options(options).sampling


def test_nothing_given_is_ollamas_defaults() -> None:
    assert read_options({}) == OllamaOptions(Sampling(), None)
    assert read_options({"temperature": None, "stop": None, "num_predict": None}) == OllamaOptions()


def test_all_of_them() -> None:
    options = {
        "temperature": 0, "top_k": 7, "top_p": 0.5, "min_p": 0.1, "typical_p": 0.9, "repeat_last_n": -1,
        "repeat_penalty": 1.1, "presence_penalty": 1, "frequency_penalty": -1.5, "seed": 42,
        "stop": ["a", ""], "num_predict": 9.0,
    }  # fmt: skip
    expected = Sampling(0.0, 7, 0.5, 0.1, 0.9, -1, 1.1, 1.0, -1.5, 42, ("a",))
    assert read_options(options) == OllamaOptions(expected, 9)


@pytest.mark.parametrize(
    ("key", "given", "clamped"),
    [
        ("temperature", -1, 0.0),
        ("temperature", 1e300, 100.0),
        ("top_k", -5, 0),
        ("top_k", 2**53, 2**20),
        ("top_p", 7, 1.0),
        ("min_p", -0.1, 0.0),
        ("typical_p", 2.5, 1.0),
        ("repeat_last_n", -9, -1),
        ("repeat_penalty", 0, 0.01),
        ("presence_penalty", 9, 2.0),
        ("frequency_penalty", -9, -2.0),
    ],
)
def test_out_of_range_is_clamped(key: str, given: float, clamped: float) -> None:
    assert getattr(sampling(**{key: given}), key) == clamped


@pytest.mark.parametrize(
    ("key", "given", "kind"),
    [
        ("num_keep", "4", "integer"),
        ("seed", True, "integer"),
        ("seed", 2**60, "integer"),
        ("seed", -1e300, "integer"),
        ("num_predict", 1.5, "integer"),
        ("top_k", [], "integer"),
        ("num_ctx", "4096", "integer"),
        ("num_batch", {}, "integer"),
        ("num_gpu", False, "integer"),
        ("main_gpu", "0", "integer"),
        ("num_thread", 0.5, "integer"),
        ("draft_num_predict", "4", "integer"),
        ("temperature", "hot", "float32"),
        ("top_p", True, "float32"),
        ("use_mmap", 1, "boolean"),
        ("stop", "word", "array"),
        ("stop", ["word", 1], "array"),
    ],
)
def test_wrong_types_in_ollamas_words(key: str, given: Any, kind: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_options({key: given})
    assert refused.value.text == f'option "{key}" must be of type {kind}'


def test_runner_old_and_unknown_options_change_nothing() -> None:
    runner = {"num_ctx": 10**9, "num_gpu": 99, "use_mmap": True}
    old = {"numa": "x", "mirostat": [], "f16_kv": 1, "tfs_z": "?", "penalize_newline": 3}
    assert read_options(runner | old | {"made_up": {}}) == OllamaOptions()


@pytest.mark.parametrize(("given", "tokens"), [(-1, None), (-2, None), (0, None), (1, 1), (2**50, MAX_OUTPUT_TOKENS)])
def test_num_predict(given: int, tokens: int | None) -> None:
    assert read_options({"num_predict": given}).max_output_tokens == tokens


def test_seeds() -> None:
    assert seed_of(None) is None
    assert seed_of(-1) is None
    assert seed_of(0) == 0
    assert seed_of(2**32 - 1) == 0  # never the value that means "draw one"
    assert seed_of(-2) == 2**32 - 3


@pytest.mark.parametrize("stops", [["x"] * 17, ["x" * 257]])
def test_stops_are_bounded(stops: list[str]) -> None:
    assert stops_of(["x" * 256] * 16)
    with pytest.raises(BadRequest):
        stops_of(stops)
