"""Whether the parts of a GGUF header agree with each other: sizes, heads, experts, vocabulary, embedding.

llama.cpp meets most disagreements with an exception, but some with an abort (GGML_ASSERT) at load or at the
first decode, and older releases with a read out of bounds. What is held to here, each where the file says
it at all, a missing number being llama.cpp's to name:

 (1) every number with a fraction is finite; frequencies are above zero, and the kind of scaling is a known one
 (2) lists with one number a layer have `block_count` of them; predicting layers are among those
 (3) the heads divide the width, unless `key_length` gives theirs; those of keys and values divide the heads
 (4) the rotated part of a head is even and no longer than the head; in `WHOLE_ROPE` it is all of it
 (5) experts: as many used as there are at most, and at least one when there are any; groups likewise
 (6) the vocabulary: lists of one length, of their types, which `vocab_size` states too
 (7) `token_embd.weight` is there, as wide as the embedding, with a row for each token

Asserts: llama_model_base::load_hparams, llama_vocab::impl::load and src/models/*.cpp of llama.cpp.
"""

import math
from typing import Any

from engine.store.gguf_header import GgufFault, GgufHeader, LongArray
from engine.store.gguf_types import STRING

EMBEDDING = "token_embd.weight"
ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
# Families whose graphs assert that a head is rotated whole and that keys and values are of one size.
WHOLE_ROPE = frozenset({"llama", "mistral3", "qwen2", "qwen2moe", "qwen3", "qwen3moe"})
# Architectures that take one expert for none and forget how many are used.
ONE_EXPERT_IS_NONE = frozenset({"hunyuan-dense", "hunyuan_vl"})
_FREQUENCIES = ("rope.freq_base", "rope.freq_base_swa")
_SCALES = ("rope.scaling.factor", "rope.scale_linear")
_PER_LAYER = ("feed_forward_length", "attention.head_count", "attention.head_count_kv", "expert_used_count")
_LISTS = {"tokens": (str,), "merges": (str,), "token_type": (int,), "scores": (float, int)}
_ONE_A_TOKEN = ("token_type", "scores")
_ITEM_TYPES = {STRING: str, 6: float, 12: float}  # GGUF's number of a type; all others are whole numbers


def check_agreement(header: GgufHeader) -> None:
    """Raises GgufFault for the first disagreement. Ranges of single numbers are `gguf_header`'s."""
    _check_fractions(header)
    _check_layers(header)
    head = _check_heads(header)
    _check_rope(header, head)
    _check_experts(header)
    tokens = _check_vocabulary(header)
    _check_embedding(header, tokens)


def _check_fractions(header: GgufHeader) -> None:
    for number, value in enumerate(header.metadata.values(), 1):
        if isinstance(value, float) and not math.isfinite(value):
            raise GgufFault(f"the value of key {number} is not a finite number")
    for key in _FREQUENCIES:
        if not _number(header, key, 1.0) > 0:
            raise GgufFault(f"the architecture's {key} is not above zero")
    for key in _SCALES:
        if not _number(header, key, 1.0) >= 0:
            raise GgufFault(f"the architecture's {key} is below zero")
    if header.of_architecture("rope.scaling.type", "none") not in ROPE_SCALINGS:
        raise GgufFault(f"the architecture's rope.scaling.type is none of {', '.join(ROPE_SCALINGS)}")


def _check_layers(header: GgufHeader) -> None:
    layers = _whole(header, "block_count")
    if layers is None:
        return
    for key in _PER_LAYER:
        value = header.of_architecture(key)
        if isinstance(value, tuple) and len(value) != layers:
            raise GgufFault(f"the architecture's {key} has {len(value)} numbers for {layers} layers")
    predicting = _whole(header, "nextn_predict_layers") or 0
    if not 0 <= predicting <= layers:
        raise GgufFault(f"the architecture's nextn_predict_layers is not a number from 0 to its {layers} layers")


def _check_heads(header: GgufHeader) -> int | None:
    """The size of a head, None where the file does not tell."""
    heads, shared = _per_layer(header, "attention.head_count"), _per_layer(header, "attention.head_count_kv")
    for layer in range(max(len(heads), len(shared)) if heads and shared else 0):
        count, own = heads[layer % len(heads)], shared[layer % len(shared)]
        if own and count % own:
            raise GgufFault(f"in layer {layer}, {own} heads of keys and values do not divide the {count} heads")
    head, width = _whole(header, "attention.key_length"), _whole(header, "embedding_length")
    if head is not None or width is None or not heads or not heads[0]:
        return head
    if width % heads[0]:
        raise GgufFault(f"{heads[0]} heads do not divide the embedding_length of {width}")
    return width // heads[0]


def _check_rope(header: GgufHeader, head: int | None) -> None:
    if head is None:
        return
    whole = header.architecture in WHOLE_ROPE
    rotated = _whole(header, "rope.dimension_count")
    if rotated is None:
        rotated = head if whole else 0
    if rotated % 2 or rotated > head or (whole and rotated != head):
        should = f"the {head} of a head" if whole else f"an even number up to the {head} of a head"
        raise GgufFault(f"the architecture's rope.dimension_count is {rotated}; it should be {should}, and even")
    value = _whole(header, "attention.value_length")
    if whole and value not in (None, head):
        raise GgufFault(f"the architecture's attention.value_length is {value}; it should be the {head} of a head")


def _check_experts(header: GgufHeader) -> None:
    count = _whole(header, "expert_count") or 0
    if count <= 1 and header.architecture in ONE_EXPERT_IS_NONE:
        return
    used = max(_per_layer(header, "expert_used_count"), default=0)
    if not (1 if count else 0) <= used <= count:
        raise GgufFault(f"the architecture uses {used} of {count} experts")
    groups, groups_used = (_whole(header, f"expert_group_{key}") or 0 for key in ("count", "used_count"))
    if groups and not 0 < groups < count:
        raise GgufFault(f"the architecture has {groups} groups of {count} experts; they should be fewer")
    if groups > 1 and (count % groups or not 0 < groups_used < groups):
        raise GgufFault(f"the architecture uses {groups_used} of {groups} groups that should divide {count} experts")


def _check_vocabulary(header: GgufHeader) -> int | None:
    """The number of tokens, None where the file does not tell."""
    lengths = {key: _list_length(header, key, types) for key, types in _LISTS.items()}
    tokens, stated = lengths["tokens"], _whole(header, "vocab_size")
    if tokens is None:
        return stated
    for key in _ONE_A_TOKEN:
        if lengths[key] not in (None, tokens):
            raise GgufFault(f"tokenizer.ggml.{key} has {lengths[key]} items; it should have {tokens}, one a token")
    if stated not in (None, tokens):
        raise GgufFault(f"the architecture's vocab_size is {stated}, but the file has {tokens} tokens")
    return tokens


def _check_embedding(header: GgufHeader, tokens: int | None) -> None:
    shape = next((tensor.shape for tensor in header.tensors if tensor.name == EMBEDDING), None)
    if shape is None:
        raise GgufFault(
            f"the file has no tensor {EMBEDDING}; it is no model that can be served by itself: "
            "an adapter is imported with --adapter-of MODEL, a projector beside its model with --projector"
        )
    width, rows = _whole(header, "embedding_length"), math.prod(shape[1:])
    if width not in (None, shape[0]):
        raise GgufFault(f"{EMBEDDING} is {shape[0]} wide; it should be as wide as the embedding_length of {width}")
    if tokens not in (None, rows):
        raise GgufFault(f"{EMBEDDING} has {rows} rows; it should have {tokens}, one a token")


def _whole(header: GgufHeader, key: str) -> int | None:
    value = header.of_architecture(key)
    return value if isinstance(value, int) else None


def _number(header: GgufHeader, key: str, default: float) -> float:
    value = header.of_architecture(key)
    return value if isinstance(value, float) else default


def _per_layer(header: GgufHeader, key: str) -> tuple[int, ...]:
    """The numbers of all layers, or the one that counts for all of them."""
    value = header.of_architecture(key, ())
    return value if isinstance(value, tuple) else (value,)


def _list_length(header: GgufHeader, key: str, types: tuple[type, ...]) -> int | None:
    value: Any = header.metadata.get(f"tokenizer.ggml.{key}")
    if value is None:
        return None
    if isinstance(value, LongArray) and _ITEM_TYPES.get(value.item_type, int) in types:
        return value.length
    if isinstance(value, tuple) and all(isinstance(item, types) for item in value):
        return len(value)
    words = " or ".join({str: "strings", int: "whole numbers", float: "fractions"}[kind] for kind in types)
    raise GgufFault(f"tokenizer.ggml.{key} is not a list of {words}")
