"""How many bytes a model takes: weights by group, keys and values, compute buffers. Pure, from its GGUF header.

Rules, each llama.cpp's own; where a file leaves something open, the larger figure counts:

 (1) weights: the bytes of the tensors. `blk.N.` is layer N, `_exps` in it its experts; `output` and what norms it is
     the output layer; everything else (token table, frequencies) stays on the CPU. Without an `output.weight` the
     token table serves as output too, and is copied when the output layer goes to a GPU.
 (2) keys and values of a layer: cells, padded to 256, times a row of KV heads x length of each (llama-kv-cache.cpp,
     llama-hparams.cpp). Quantised rows are whole blocks of 32, so the length of a head must divide by 32.
 (3) a sliding window holds fewer cells only when the context is made without the full-size cache, which prefix
     reuse needs, and only in layers that the file itself names (llama-kv-cache-iswa.cpp).
 (4) a layer without KV heads is recurrent: its state, 32 bits a number, is the same for every length.
 (5) compute buffers: the larger of output rows, 4 B x batch x (width + vocabulary), and one layer's activations; plus
     the mask. The first gives 70.5 MiB for Llama 2 7B and 258.5 MiB for Llama 3 8B, the figures llama.cpp prints.
"""

import math
from typing import Any, Literal

from msgspec import Struct

from engine.store.gguf_header import GgufHeader, LongArray, Tensor
from engine.store.gguf_types import TENSOR_TYPES
from engine.store.yarn import NO_YARN, Yarn
from engine.weight_loading import repacked_bytes

KvType = Literal["f16", "q8_0", "q4_0"]

KV_BLOCKS: dict[KvType, tuple[int, int]] = {"f16": (1, 2), "q8_0": (32, 34), "q4_0": (32, 18)}  # numbers, bytes
QUANTISED_BLOCK = 32
CELL_PADDING = 256
MOST_LAYERS = 1024  # the largest models have under 200; planning takes the square of it, and a header may claim more
MASK_BYTES = 6  # a mask entry at 32 bits and its copy at 16
_TYPE_BYTES = {name: (weights, size_bytes) for name, weights, size_bytes in TENSOR_TYPES.values()}
_OUTPUTS = ("output", "cls")
_NO_FLASH = ("grok",)  # llama.cpp forces flash attention off for these


class SizeFault(ValueError):
    """The header lacks what the arithmetic needs; the message is one sentence."""


class LayerSize(Struct, frozen=True, kw_only=True):
    """One layer: bytes of its weights; numbers in a row of keys and of values; its window in tokens, 0 for none;
    bytes of recurrent state a slot.
    """

    dense_bytes: int
    expert_bytes: int = 0
    key_numbers: int = 0
    value_numbers: int = 0
    window_tokens: int = 0
    state_bytes: int = 0


class ModelSize(Struct, frozen=True, kw_only=True):
    """What a model needs, whatever the slots: see the rules at the head. `context_length` 0: not stated.

    `layer_numbers` is how many numbers one token has in a layer's activations. `quantises_kv`: heads are whole blocks.
    `repacked_bytes` of the weights are held twice where the file is mapped, see `engine.weight_loading`. `yarn` is how
    its `context_length` came about, where that is not the file's own.
    """

    layers: tuple[LayerSize, ...]
    input_bytes: int
    output_bytes: int
    shares_output: bool
    width: int
    heads: int
    layer_numbers: int
    vocabulary: int
    context_length: int
    quantises_kv: bool
    allows_flash: bool
    repacked_bytes: int = 0
    yarn: Yarn = NO_YARN

    @property
    def has_experts(self) -> bool:
        return any(layer.expert_bytes for layer in self.layers)

    @property
    def weights_bytes(self) -> int:
        """All tensors, each once: what the file holds."""
        layers = sum(layer.dense_bytes + layer.expert_bytes for layer in self.layers)
        return self.input_bytes + layers + (0 if self.shares_output else self.output_bytes)


class ContextShape(Struct, frozen=True, kw_only=True):
    """The memory of one context: `slots` requests of `context_tokens` each, `batch_tokens` a step, of which
    `result_rows` give a result (0: one a slot). They share `kv_cells` tokens (0: as many as they could use).
    """

    slots: int
    context_tokens: int
    batch_tokens: int
    kv_type: KvType
    flash_attention: bool
    full_windows: bool = True
    result_rows: int = 0
    kv_cells: int = 0

    @property
    def cells(self) -> int:
        """Tokens that the memory holds, padded as llama.cpp does."""
        most = self.slots * self.context_tokens
        return _padded(min(self.kv_cells or most, most))


def kv_bytes(layer: LayerSize, shape: ContextShape) -> int:
    """Bytes of keys, values and recurrent state of one layer."""
    cells = shape.cells
    if layer.window_tokens and not shape.full_windows:
        cells = min(cells, _padded(layer.window_tokens * shape.slots + shape.batch_tokens))
    row = kv_row_bytes(layer.key_numbers, shape.kv_type) + kv_row_bytes(layer.value_numbers, shape.kv_type)
    return cells * row + shape.slots * layer.state_bytes


def kv_row_bytes(numbers: int, kv_type: KvType) -> int:
    """Bytes of `numbers` keys or values of one token in one layer."""
    block, size_bytes = KV_BLOCKS[kv_type]
    return -(-numbers // block) * size_bytes


def kv_token_bytes(model: ModelSize, kv_type: KvType) -> int:
    """Bytes that one more token takes in all layers together, windows at full size."""
    return sum(
        kv_row_bytes(layer.key_numbers, kv_type) + kv_row_bytes(layer.value_numbers, kv_type) for layer in model.layers
    )


def compute_bytes(model: ModelSize, shape: ContextShape) -> int:
    """Estimate of the compute buffers of one device, rule (5); without flash attention the scores come on top."""
    batch = min(shape.batch_tokens, shape.cells)
    rows = 4 * batch * (model.width + model.vocabulary)
    scores = 0 if shape.flash_attention else 4 * shape.cells * model.heads
    layer = batch * (4 * model.layer_numbers + scores)
    return max(rows, layer) + MASK_BYTES * batch * shape.cells


def input_compute_bytes(model: ModelSize, shape: ContextShape) -> int:
    """The same on the CPU when every layer is on GPUs: rows that come in, and the mask."""
    batch = min(shape.batch_tokens, shape.cells)
    return 4 * batch * 2 * model.width + MASK_BYTES * batch * shape.cells


def model_size_of(header: GgufHeader, yarn: Yarn = NO_YARN) -> ModelSize:
    """The sizes of the model behind `header`. Raises SizeFault."""
    count, width = _number(header, "block_count"), _number(header, "embedding_length")
    if not count or not width:
        raise SizeFault("the file does not state block_count and embedding_length, so its memory cannot be planned")
    heads = max(1, _number(header, "attention.head_count"))
    if count > MOST_LAYERS:
        raise SizeFault(f"the file states {count} layers, more than the {MOST_LAYERS} that are planned")
    groups = _group_bytes(header.tensors, count)
    head_numbers = tuple(_number(header, f"attention.{part}_length", width // heads) for part in ("key", "value"))
    names = {tensor.name for tensor in header.tensors}
    shares_output = "output.weight" not in names and "token_embd.weight" in names
    table_bytes = sum(_bytes(tensor) for tensor in header.tensors if tensor.name == "token_embd.weight")
    return ModelSize(
        layers=_layers(header, groups, head_numbers),
        input_bytes=groups["input"] + (groups["output"] if shares_output else 0),
        output_bytes=groups["output"] + (table_bytes if shares_output else 0),
        shares_output=shares_output,
        width=width,
        heads=heads,
        layer_numbers=2 * (width + max(_feed_forward(header), heads * sum(head_numbers))),
        vocabulary=_vocabulary(header),
        context_length=yarn.tokens(_number(header, "context_length")),
        quantises_kv=all(length % QUANTISED_BLOCK == 0 for length in head_numbers),
        allows_flash=header.architecture not in _NO_FLASH,
        repacked_bytes=sum(repacked_bytes(tensor) for tensor in header.tensors),
        yarn=yarn,
    )


def _layers(header: GgufHeader, groups: dict[str, int], head_numbers: tuple[int, ...]) -> tuple[LayerSize, ...]:
    count = _number(header, "block_count")
    kv_heads = _per_layer(header, "attention.head_count_kv", _number(header, "attention.head_count"), count)
    window = _number(header, "attention.sliding_window")
    slides = _per_layer(header, "attention.sliding_window_pattern", 0, count)
    named = isinstance(header.of_architecture("attention.sliding_window_pattern"), tuple)  # one number names no layer
    # An encoder reads a whole text at once and keeps nothing.
    keeps = header.of_architecture("attention.causal", True) is not False
    return tuple(
        LayerSize(
            dense_bytes=groups[f"dense.{number}"],
            expert_bytes=groups[f"experts.{number}"],
            key_numbers=kv_heads[number] * head_numbers[0] * keeps,
            value_numbers=kv_heads[number] * head_numbers[1] * keeps,
            window_tokens=window if named and slides[number] else 0,
            state_bytes=0 if kv_heads[number] else _state_bytes(header),
        )
        for number in range(count)
    )


def _state_bytes(header: GgufHeader) -> int:
    """Recurrent state of one layer and slot: convolution and state space, llama_hparams n_embd_r and n_embd_s."""
    inner, state = _number(header, "ssm.inner_size"), _number(header, "ssm.state_size")
    kernel, groups = _number(header, "ssm.conv_kernel"), _number(header, "ssm.group_count")
    return 4 * (max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner)


def _feed_forward(header: GgufHeader) -> int:
    """Numbers a token has in the feed-forward part: dense, or all experts it is sent to."""
    used = _number(header, "expert_used_count")
    return max(_number(header, "feed_forward_length"), used * _number(header, "expert_feed_forward_length"))


def _vocabulary(header: GgufHeader) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens", ())
    listed = tokens.length if isinstance(tokens, LongArray) else len(tokens)
    return max(listed, _number(header, "vocab_size"))


def _group_bytes(tensors: tuple[Tensor, ...], count: int) -> dict[str, int]:
    groups = {"input": 0, "output": 0}
    for number in range(count):
        groups |= {f"dense.{number}": 0, f"experts.{number}": 0}
    for tensor in tensors:
        group = _group_of(tensor.name)
        groups[group if group in groups else "input"] += _bytes(tensor)
    return groups


def _group_of(name: str) -> str:
    first, _, rest = name.partition(".")
    if first == "blk":
        kind = "experts" if "_exps" in rest else "dense"
        return f"{kind}.{rest.partition('.')[0]}"
    return "output" if first.startswith(_OUTPUTS) else "input"


def _bytes(tensor: Tensor) -> int:
    block, size_bytes = _TYPE_BYTES[tensor.type]
    return math.prod(tensor.shape) // block * size_bytes


def _number(header: GgufHeader, key: str, default: int = 0) -> int:
    """A whole number; of a list, the largest."""
    value = header.of_architecture(key, default)
    return max((_whole(item) for item in value), default=default) if isinstance(value, tuple) else _whole(value)


def _per_layer(header: GgufHeader, key: str, default: int, count: int) -> tuple[int, ...]:
    """One number a layer: a list as far as it goes, else the same for all."""
    value = header.of_architecture(key, default)
    listed = tuple(_whole(item) for item in value) if isinstance(value, tuple) else (_whole(value),) * count
    return (*listed, *(_number(header, key, default),) * count)[:count]


def _padded(cells: int) -> int:
    return -(-cells // CELL_PADDING) * CELL_PADDING


def _whole(value: Any) -> int:
    return max(0, int(value)) if isinstance(value, int) else 0
