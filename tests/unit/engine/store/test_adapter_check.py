"""Invariant: an adapter fits its base model in every dimension, or a GgufFault says in one sentence why not."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.adapter_check import MAX_ALPHA, MAX_RANK, alpha_of, parse_adapter, rank_of, read_adapter
from engine.store.gguf_header import GgufFault, GgufHeader, Tensor, read_header
from tests.unit.engine.tiny_lora import RANK, matrices, write_adapter
from tests.unit.engine.tiny_vision import WIDTH, write_text_model

TOKENS = 259


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    return read_header(write_text_model(tmp_path_factory.mktemp("base") / "base.gguf"))


def fault(path: Path, base: GgufHeader) -> str:
    with pytest.raises(GgufFault) as caught:
        read_adapter(path, base)
    return str(caught.value)


def pair(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Two matrices of these shapes, in numpy's order."""
    return {f"{name}.lora_a": np.zeros(a, np.float32), f"{name}.lora_b": np.zeros(b, np.float32)}


def made_up(base: GgufHeader, *weights: Tensor) -> GgufHeader:
    return GgufHeader(version=3, metadata=base.metadata, tensors=weights)


def test_an_adapter_that_fits_passes(tmp_path: Path, base: GgufHeader) -> None:
    adapter = read_adapter(write_adapter(tmp_path / "a.gguf"), base)
    assert (rank_of(adapter), alpha_of(adapter)) == (RANK, 16.0)


def test_alpha_may_be_left_out(tmp_path: Path, base: GgufHeader) -> None:
    path = write_adapter(tmp_path / "a.gguf", said={"adapter.lora.alpha": None})
    assert alpha_of(read_adapter(path, base)) == 0.0


def test_half_precision_passes(tmp_path: Path, base: GgufHeader) -> None:
    halves = {name: weights.astype(np.float16) for name, weights in matrices(1).items()}
    assert read_adapter(write_adapter(tmp_path / "a.gguf", tensors=halves), base)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"general.type": "model"}, "no adapter"),
        ({"general.type": None}, "no adapter"),
        ({"general.type": 1}, "no adapter"),
        ({"adapter.type": "control_vector"}, "type lora"),
        ({"adapter.lora.alpha": np.float32("nan")}, "alpha"),
        ({"adapter.lora.alpha": np.float32("inf")}, "alpha"),
        ({"adapter.lora.alpha": np.float32(-1)}, "alpha"),
        ({"adapter.lora.alpha": np.float32(2 * MAX_ALPHA)}, "alpha"),
        ({"adapter.lora.alpha": 16.0}, "32 bits"),  # 64 bits: llama.cpp asserts
        ({"adapter.lora.alpha": "16"}, "alpha"),
        ({"adapter.alora.invocation_tokens": [1, 2]}, "activated"),
    ],
)
def test_what_it_says_of_itself_must_be_an_adapter(
    tmp_path: Path, base: GgufHeader, said: dict[str, Any], words: str
) -> None:
    assert words in fault(write_adapter(tmp_path / "a.gguf", said=said), base)


def test_another_architecture_is_refused(tmp_path: Path, base: GgufHeader) -> None:
    assert "architecture" in fault(write_adapter(tmp_path / "a.gguf", architecture="qwen3"), base)


def test_a_model_is_no_adapter(tmp_path: Path, base: GgufHeader) -> None:
    assert "import it as a model" in fault(write_text_model(tmp_path / "m.gguf"), base)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "no tensors"),
        ({"blk.0.attn_norm.weight": np.ones(WIDTH, np.float32)}, "tensor 1 is neither"),
        ({"blk.0.attn_q.weight.lora_a": np.zeros((4, WIDTH), np.float32)}, "lacks one"),
        (pair("blk.7.attn_q.weight", (4, WIDTH), (WIDTH, 4)), "does not have"),
        (pair("blk.0.attn_norm.weight", (4, WIDTH), (WIDTH, 4)), "take no adapter"),
        (pair("blk.0.attn_q.weight", (4, WIDTH + 1), (WIDTH, 4)), "33 x 4 and 4 x 32; for this base model it should"),
        (pair("blk.0.attn_q.weight", (4, WIDTH), (WIDTH + 1, 4)), "should be 32 x 4 and 4 x 32"),
        (pair("blk.0.attn_q.weight", (4, WIDTH), (WIDTH, 5)), "should be 32 x 5"),
        (pair("blk.0.attn_q.weight", (2, 4, WIDTH), (2, WIDTH, 4)), "should be 32 x 4 and"),
        (pair("blk.0.attn_q.weight", (MAX_RANK + 1, WIDTH), (WIDTH, MAX_RANK + 1)), "rank 1025"),
    ],
)
def test_pairs_must_fit_the_base(tmp_path: Path, base: GgufHeader, tensors: dict[str, np.ndarray], words: str) -> None:
    assert words in fault(write_adapter(tmp_path / "a.gguf", tensors=tensors), base)


def test_a_type_that_no_converter_writes_is_refused(tmp_path: Path, base: GgufHeader) -> None:
    whole = {name: np.zeros(weights.shape, np.int32) for name, weights in matrices(1).items()}
    assert "of a type other than" in fault(write_adapter(tmp_path / "a.gguf", tensors=whole), base)


def test_a_rank_of_one_may_be_written_without_its_dimension(tmp_path: Path, base: GgufHeader) -> None:
    one = pair("blk.0.attn_q.weight", (WIDTH,), (WIDTH, 1))
    assert rank_of(read_adapter(write_adapter(tmp_path / "a.gguf", tensors=one), base)) == 1


def test_experts_must_be_as_many_as_the_base_has(tmp_path: Path, base: GgufHeader) -> None:
    """A wrong count writes out of bounds in llama.cpp (its issue 29128)."""
    experts = made_up(base, Tensor("blk.0.ffn_up_exps.weight", "F32", (WIDTH, 64, 8)))
    for count, fits in ((8, True), (7, False), (9, False)):
        tensors = pair("blk.0.ffn_up_exps.weight", (count, 4, WIDTH), (count, 64, 4))
        path = write_adapter(tmp_path / f"{count}.gguf", tensors=tensors)
        if fits:
            assert read_adapter(path, experts)
        else:
            assert "should be 32 x 4 x 8 and 4 x 64 x 8" in fault(path, experts)


def test_an_embedding_is_changed_only_where_it_is_not_the_output_too(tmp_path: Path, base: GgufHeader) -> None:
    path = write_adapter(tmp_path / "a.gguf", tensors=pair("token_embd.weight", (TOKENS, 4), (WIDTH, 4)))
    assert rank_of(read_adapter(path, base)) == 4
    tied = made_up(base, *(tensor for tensor in base.tensors if tensor.name != "output.weight"))
    assert "the output too" in fault(path, tied)


def test_weights_that_llama_cpp_asserts_to_have_none_take_no_adapter(tmp_path: Path, base: GgufHeader) -> None:
    weights = made_up(base, Tensor("blk.0.ffn_up.weight", "NVFP4", (WIDTH, 64)))
    path = write_adapter(tmp_path / "a.gguf", tensors=pair("blk.0.ffn_up.weight", (4, WIDTH), (64, 4)))
    assert "take no adapter" in fault(path, weights)


@given(data=st.data())
def test_whatever_the_bytes_it_is_a_gguf_fault(
    tmp_path_factory: pytest.TempPathFactory, base: GgufHeader, data: st.DataObject
) -> None:
    whole = bytearray(write_adapter(tmp_path_factory.getbasetemp() / "mutated.gguf").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, min(len(whole), 1500) - 1))] = data.draw(st.integers(0, 255))
    cut = whole[: data.draw(st.integers(len(whole) // 2, len(whole)))]
    for each in (whole, cut):
        with contextlib.suppress(GgufFault):
            parse_adapter(io.BytesIO(bytes(each)), len(each), base)
