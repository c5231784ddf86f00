"""A tiny model that sees: a llama of one layer and a LLaVA projector for it. Made-up weights, real loading code.

The weights are random and large, so that another picture gives another answer; a seed repeats them.
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.unit.engine.tiny_gguf import CHATML, SPECIAL, byte_letters

WIDTH, HEADS, TOKENS = 32, 2, len(SPECIAL) + 256
IMAGE_SIZE, PATCH_SIZE = 32, 8
IMAGE_TOKENS = (IMAGE_SIZE // PATCH_SIZE) ** 2
CONTEXT_TOKENS = 1024


def write_text_model(path: Path, *, template: str = CHATML, **metadata: Any) -> Path:
    """A llama with a vocabulary of bytes."""
    made = _Made(path, "llama", seed=1)
    for key, value in _text_metadata(template).items():
        made.put(key, value)
    made.tensor("token_embd.weight", TOKENS, WIDTH)
    made.tensor("output.weight", TOKENS, WIDTH)
    made.norm("output_norm.weight")
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        made.tensor(f"blk.0.{name}.weight", WIDTH, WIDTH)
    made.norm("blk.0.attn_norm.weight")
    made.norm("blk.0.ffn_norm.weight")
    made.tensor("blk.0.ffn_gate.weight", 2 * WIDTH, WIDTH)
    made.tensor("blk.0.ffn_up.weight", 2 * WIDTH, WIDTH)
    made.tensor("blk.0.ffn_down.weight", WIDTH, 2 * WIDTH)
    return made.write(metadata)


def write_projector(
    path: Path,
    *,
    family: str = "mlp",
    width: int = WIDTH,
    swapped: bool = False,
    extra: tuple[str, tuple[int, ...]] | None = None,
    poisoned: bool = False,
    **metadata: Any,
) -> Path:
    """A projector for `write_text_model`, of the LLaVA 1.5 kind (`mlp`) or of Gemma 3's. `metadata` overrides keys:
    `__` stands for a dot, and None leaves a key out. `swapped`: ffn_up and ffn_down are named as old converters did.
    `poisoned`: one weight is not a number.
    """
    made = _Made(path, "clip", seed=2)
    for key, value in _projector_metadata(family).items():
        made.put(key, value)
    patches = (IMAGE_SIZE // PATCH_SIZE) ** 2
    made.tensor("v.patch_embd.weight", WIDTH, 3, PATCH_SIZE, PATCH_SIZE)
    made.tensor("v.position_embd.weight", patches, WIDTH)
    for layer in range(2):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            made.tensor(f"v.blk.{layer}.{name}.weight", WIDTH, WIDTH)
            made.tensor(f"v.blk.{layer}.{name}.bias", WIDTH)
        up, down = ("down", "up") if swapped else ("up", "down")
        made.tensor(f"v.blk.{layer}.ffn_{up}.weight", 2 * WIDTH, WIDTH)
        made.tensor(f"v.blk.{layer}.ffn_{down}.weight", WIDTH, 2 * WIDTH)
        for name in ("ln1", "ln2"):
            made.norm(f"v.blk.{layer}.{name}.weight")
            made.tensor(f"v.blk.{layer}.{name}.bias", WIDTH)
    if family == "gemma3":
        made.norm("mm.soft_emb_norm.weight")
        made.tensor("mm.input_projection.weight", WIDTH, width)
    else:
        made.tensor("mm.0.weight", WIDTH, WIDTH)
        made.tensor("mm.0.bias", WIDTH)
        made.tensor("mm.2.weight", width, WIDTH)
        made.tensor("mm.2.bias", width)
    if poisoned:
        made.poison("v.patch_embd.weight")
    if extra is not None:
        made.tensor(extra[0], *extra[1])
    return made.write(metadata)


class _Made:
    """One file in the making. The order of tensors is that of their making, as the layout check wants it."""

    def __init__(self, path: Path, architecture: str, seed: int) -> None:
        self._path = path
        self._architecture = architecture
        self._metadata: dict[str, Any] = {}
        self._tensors: list[tuple[str, np.ndarray]] = []
        self._random = np.random.default_rng(seed)

    def put(self, key: str, value: Any) -> None:
        self._metadata[key] = value

    def tensor(self, name: str, *shape: int) -> None:
        self._tensors.append((name, self._random.normal(0, 0.3, shape).astype(np.float32)))

    def poison(self, name: str) -> None:
        dict(self._tensors)[name].flat[0] = np.nan

    def norm(self, name: str) -> None:
        self._tensors.append((name, np.ones(WIDTH, np.float32)))

    def write(self, changes: dict[str, Any]) -> Path:
        writer = gguf.GGUFWriter(self._path, self._architecture)
        given = {key.replace("__", "."): value for key, value in changes.items()}
        for key, value in (self._metadata | given).items():
            _add(writer, key, value)
        for name, weights in self._tensors:
            writer.add_tensor(name, weights)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return self._path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if value is None:
        return
    kinds = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    kinds.get(type(value), writer.add_array)(key, value)


def _text_metadata(template: str) -> dict[str, Any]:
    return {
        "llama.block_count": 1,
        "llama.context_length": CONTEXT_TOKENS,
        "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": 2 * WIDTH,
        "llama.attention.head_count": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": [*SPECIAL, *byte_letters()],
        "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * 256,
        "tokenizer.ggml.merges": ["h e", "l l"],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": template,
    }


def _projector_metadata(family: str) -> dict[str, Any]:
    return {
        "clip.has_vision_encoder": True,
        "clip.projector_type": family,
        "clip.use_gelu": True,
        "clip.vision.image_size": IMAGE_SIZE,
        "clip.vision.patch_size": PATCH_SIZE,
        "clip.vision.embedding_length": WIDTH,
        "clip.vision.feed_forward_length": 2 * WIDTH,
        "clip.vision.projection_dim": WIDTH,
        "clip.vision.block_count": 2,
        "clip.vision.attention.head_count": HEADS,
        "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.image_mean": [0.5, 0.5, 0.5],
        "clip.vision.image_std": [0.5, 0.5, 0.5],
        "clip.vision.projector.scale_factor": 2 if family == "gemma3" else None,
    }
