from typing import Any

import pytest

from engine.fitting.machine import MIB
from engine.fitting.model_size import (
    ContextShape,
    LayerSize,
    SizeFault,
    compute_bytes,
    input_compute_bytes,
    kv_bytes,
    kv_row_bytes,
    kv_token_bytes,
    model_size_of,
)
from engine.store.gguf_header import Tensor
from tests.unit.engine.fitting.made_up_model import LLAMA_2_7B, LLAMA_3_8B, SMOLLM2, header, small


def shape(**changes: Any) -> ContextShape:
    values: dict[str, Any] = {"slots": 1, "context_tokens": 512, "batch_tokens": 512, "kv_type": "f16"}
    return ContextShape(**values | {"flash_attention": True} | changes)


def test_keys_and_values_of_smollm2_are_what_was_measured() -> None:
    """184,320 KiB at 8192 tokens: 184 in the thousands of KiB that smaps were summed in."""
    model = model_size_of(SMOLLM2)
    held = sum(kv_bytes(layer, shape(context_tokens=8192)) for layer in model.layers)
    assert held == 8192 * kv_token_bytes(model, "f16") == 184_320 * 1024


@pytest.mark.parametrize(
    ("made", "f16", "q8_0", "q4_0"),
    [(LLAMA_2_7B, 512, 272, 144), (LLAMA_3_8B, 128, 68, 36)],
)
def test_a_token_of_known_models(made: Any, f16: int, q8_0: int, q4_0: int) -> None:
    model = model_size_of(made)
    assert (kv_token_bytes(model, "f16"), kv_token_bytes(model, "q8_0"), kv_token_bytes(model, "q4_0")) == (
        f16 * 1024,
        q8_0 * 1024,
        q4_0 * 1024,
    )


def test_weights_are_the_tensors_in_their_groups() -> None:
    model = model_size_of(LLAMA_2_7B)
    assert 3.8e9 < model.weights_bytes < 3.9e9  # the file of that model has 3.83 GB
    assert model.input_bytes == 4096 * 32000 // 32 * 18
    assert model.output_bytes == 4096 * 32000 // 256 * 210 + 4 * 4096
    assert not model.shares_output
    assert not model.has_experts
    assert (model.width, model.heads, model.vocabulary, model.context_length) == (4096, 32, 32000, 4096)


@pytest.mark.parametrize(("made", "printed_mib"), [(LLAMA_2_7B, 70.5), (LLAMA_3_8B, 258.5)])
def test_compute_buffers_are_those_that_are_printed(made: Any, printed_mib: float) -> None:
    mask = 6 * 512 * 512
    assert compute_bytes(model_size_of(made), shape()) - mask == printed_mib * MIB


def test_without_flash_attention_the_scores_come_on_top() -> None:
    model = model_size_of(LLAMA_2_7B)
    scores = compute_bytes(model, shape(context_tokens=4096, flash_attention=False))
    assert scores == 512 * (4 * model.layer_numbers + 4 * 4096 * 32) + 6 * 512 * 4096
    assert input_compute_bytes(model, shape()) == 4 * 512 * 2 * 4096 + 6 * 512 * 512


def test_cells_are_padded_and_a_short_context_has_short_steps() -> None:
    assert shape(slots=3, context_tokens=100).cells == 512
    assert compute_bytes(small(), shape(context_tokens=256)) == 256 * (4 * 4096) + 6 * 256 * 256


def test_a_small_window_holds_fewer_cells_but_only_without_the_full_cache() -> None:
    layer = LayerSize(dense_bytes=1, key_numbers=64, value_numbers=64, window_tokens=1000)
    wide = shape(slots=2, context_tokens=8192)
    assert kv_bytes(layer, wide) == 16384 * 256
    assert kv_bytes(layer, shape(slots=2, context_tokens=8192, full_windows=False)) == 2560 * 256
    assert kv_bytes(layer, shape(full_windows=False)) == 512 * 256


def test_rows_are_whole_blocks() -> None:
    assert [kv_row_bytes(33, kind) for kind in ("f16", "q8_0", "q4_0")] == [66, 68, 36]  # type: ignore[arg-type]


def tiny(architecture: str = "llama", tensors: tuple[Tensor, ...] = (), **numbers: Any) -> Any:
    needed = {"block_count": 2, "embedding_length": 64, "attention__head_count": 2}
    return model_size_of(header(architecture, tensors, **needed | numbers))


def test_experts_output_and_the_rest_are_told_apart() -> None:
    names = ("token_embd.weight", "rope_freqs.weight", "output_norm.weight", "blk.0.a", "blk.1.ffn_up_exps.weight")
    tensors = tuple(Tensor(name, "F32", (10**number,)) for number, name in enumerate((*names, "blk.7.nextn")))
    model = tiny(tensors=tensors)
    assert model.shares_output
    assert model.input_bytes == 4 * (1 + 10 + 10**2 + 10**5)  # a layer beyond the count is the CPU's
    assert model.output_bytes == 4 * (10**2 + 1)
    assert [(layer.dense_bytes, layer.expert_bytes) for layer in model.layers] == [(4000, 0), (0, 40000)]
    assert model.has_experts
    assert model.weights_bytes == 4 * 111111


def test_the_numbers_of_layers_may_differ() -> None:
    model = tiny(
        attention__head_count=(4, 4, 4),
        attention__head_count_kv=(1,),
        attention__key_length=40,
        attention__value_length=32,
        attention__sliding_window=128,
        attention__sliding_window_pattern=(True, False),
    )
    assert [layer.key_numbers for layer in model.layers] == [40, 40]
    assert [layer.window_tokens for layer in model.layers] == [128, 0]
    assert (model.heads, model.quantises_kv, model.shares_output) == (4, False, False)


def test_a_pattern_that_names_no_layer_makes_no_window() -> None:
    model = tiny(attention__sliding_window=128, attention__sliding_window_pattern=2)
    assert [layer.window_tokens for layer in model.layers] == [0, 0]


def test_recurrent_layers_hold_a_state() -> None:
    state = {"ssm__inner_size": 100, "ssm__state_size": 16, "ssm__conv_kernel": 4, "ssm__group_count": 1}
    model = tiny("jamba", attention__head_count_kv=(0, 2), **state)
    assert [layer.state_bytes for layer in model.layers] == [4 * (3 * 132 + 1600), 0]
    assert kv_bytes(model.layers[0], shape(slots=3)) == 3 * model.layers[0].state_bytes


def test_an_encoder_keeps_nothing_and_grok_has_no_flash_attention() -> None:
    model = tiny("bert", attention__causal=False)
    assert kv_token_bytes(model, "f16") == 0
    assert (tiny("grok").allows_flash, model.allows_flash) == (False, True)


def test_experts_widen_the_activations() -> None:
    assert tiny(feed_forward_length=10).layer_numbers == 2 * (64 + 2 * 64)
    wide = tiny(feed_forward_length=10, expert_used_count=8, expert_feed_forward_length=512)
    assert wide.layer_numbers == 2 * (64 + 4096)


def test_a_vocabulary_may_be_listed_or_stated() -> None:
    assert tiny(vocab_size=77).vocabulary == 77
    made = header(block_count=1, embedding_length=64)
    made.metadata["tokenizer.ggml.tokens"] = ("a", "b")
    assert model_size_of(made).vocabulary == 2


@pytest.mark.parametrize("numbers", [{"block_count": 2}, {"embedding_length": 64}, {"block_count": "x"}])
def test_a_header_without_the_numbers_is_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(SizeFault, match="block_count and embedding_length"):
        model_size_of(header(**numbers))


def test_more_layers_than_any_model_has_are_refused() -> None:
    with pytest.raises(SizeFault, match="states 1025 layers"):
        model_size_of(header(block_count=1025, embedding_length=64))


def test_slots_that_share_fewer_cells_take_less_memory() -> None:
    whole = shape(slots=8, context_tokens=1024)
    shared = shape(slots=8, context_tokens=1024, kv_cells=2048)

    assert (whole.cells, shared.cells) == (8192, 2048)
    assert shape(slots=2, context_tokens=1024, kv_cells=9000).cells == 2048
    layer = small().layers[0]
    assert 4 * kv_bytes(layer, shared) == kv_bytes(layer, whole)
