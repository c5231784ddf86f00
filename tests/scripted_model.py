"""Tiny models of real families that say what they are told to: made-up weights, real loading code.

One layer whose attention and feed-forward add nothing, an embedding that is one-hot, and an output matrix that is the
permutation "after this token comes that one". So the model writes its script token by token, whatever it was asked,
starting behind the last token of the prompt. Every piece of a script must differ from the others.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from msgspec import Struct

WIDTH, HEADS, FEED, EXPERTS, CONTEXT = 512, 8, 32, 4, 2048
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
END = "<|end|>"


class Family(Struct, frozen=True, kw_only=True):
    """A family by what differs for a server: architecture, template, markers, and what the prompt ends with.

    `controls` are control tokens, `markers` ordinary ones that stand for themselves; `prompt_ends` is one of them, or
    one ASCII character.
    """

    name: str
    architecture: str
    template: str
    prompt_ends: str
    controls: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()


def write_scripted(path: Path, family: Family, script: Sequence[str]) -> Path:
    """A model of `family` at `path` that answers with the pieces of `script`, then ends."""
    own = {*family.controls, *family.markers}
    controls = [END, *family.controls]
    pieces = [piece for piece in script if piece not in own]
    tokens = [*_BYTES, *controls, *family.markers, *pieces]
    kinds = [NORMAL] * 256 + [CONTROL] * len(controls) + [USER_DEFINED] * (len(family.markers) + len(pieces))
    if len(set(tokens)) != len(tokens) or len(tokens) > WIDTH:
        raise ValueError("a piece of the script stands there twice, or there are too many")
    steps = [family.prompt_ends, *script, END]
    ids = {token: index for index, token in enumerate(tokens)}
    chain = [ids[step] if step in ids else ids[_BYTES[ord(step)]] for step in steps]
    writer = gguf.GGUFWriter(path, family.architecture)
    _describe(writer, family)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{_BYTES[0]} {_BYTES[0]}"])  # llama.cpp wants one; this text does not occur
    writer.add_bos_token_id(ids[END])
    writer.add_eos_token_id(ids[END])
    writer.add_add_bos_token(False)
    if family.template:
        writer.add_chat_template(family.template)
    for name, weights in _weights(family.architecture, chain, len(tokens)).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: Any, family: Family) -> None:
    writer.add_name(family.name)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    if family.architecture.startswith("qwen3"):
        writer.add_key_length(WIDTH // HEADS)
        writer.add_value_length(WIDTH // HEADS)
    if family.architecture.endswith("moe"):
        writer.add_expert_count(EXPERTS)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(FEED)


def _weights(architecture: str, chain: Sequence[int], tokens: int) -> dict[str, np.ndarray]:
    output = np.zeros((tokens, WIDTH), np.float32)
    for before, after in pairwise(chain):
        output[after, before] = 1.0
    return {
        "token_embd.weight": np.eye(tokens, WIDTH, dtype=np.float32),
        "output_norm.weight": np.ones(WIDTH, np.float32),
        "output.weight": output,
        **{f"blk.0.{name}": weights for name, weights in _layer(architecture).items()},
    }


def _layer(architecture: str) -> dict[str, np.ndarray]:
    square, head = np.zeros((WIDTH, WIDTH), np.float32), np.ones(WIDTH // HEADS, np.float32)
    up, down = np.zeros((FEED, WIDTH), np.float32), np.zeros((WIDTH, FEED), np.float32)
    found = {
        "attn_norm.weight": np.ones(WIDTH, np.float32),
        "ffn_norm.weight": np.ones(WIDTH, np.float32),
        **{f"attn_{each}.weight": square for each in ("q", "k", "v", "output")},
    }
    if architecture == "qwen2":
        found |= {f"attn_{each}.bias": np.zeros(WIDTH, np.float32) for each in ("q", "k", "v")}
    if architecture.startswith("qwen3"):
        found |= {"attn_q_norm.weight": head, "attn_k_norm.weight": head}
    if not architecture.endswith("moe"):
        return found | {"ffn_gate.weight": up, "ffn_up.weight": up, "ffn_down.weight": down}
    return found | {
        "ffn_gate_inp.weight": np.zeros((EXPERTS, WIDTH), np.float32),
        "ffn_gate_exps.weight": np.zeros((EXPERTS, FEED, WIDTH), np.float32),
        "ffn_up_exps.weight": np.zeros((EXPERTS, FEED, WIDTH), np.float32),
        "ffn_down_exps.weight": np.zeros((EXPERTS, WIDTH, FEED), np.float32),
    }


def _byte_letters() -> list[str]:
    """GPT-2's letters for the 256 bytes."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = iter(range(0x100, 0x200))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


_BYTES = _byte_letters()
