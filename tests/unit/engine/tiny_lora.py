"""Tiny LoRA adapters for the tiny text model. Made-up weights, real loading code; a seed repeats them."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.unit.engine.tiny_vision import WIDTH

RANK = 4
TARGETS = ("blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight", "output.weight")
SAID: dict[str, Any] = {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": np.float32(16)}


def matrices(seed: int, *, rank: int = RANK, rows: dict[str, int] | None = None) -> dict[str, np.ndarray]:
    """The pairs for `TARGETS`, in numpy's order of dimensions; large, so that every adapter answers differently."""
    random = np.random.default_rng(seed)
    found = {}
    for name in TARGETS:
        height = (rows or {"output.weight": 259}).get(name, WIDTH)
        found[f"{name}.lora_a"] = random.normal(0, 0.3, (rank, WIDTH)).astype(np.float32)
        found[f"{name}.lora_b"] = random.normal(0, 0.3, (height, rank)).astype(np.float32)
    return found


def write_adapter(
    path: Path,
    seed: int = 1,
    *,
    tensors: dict[str, np.ndarray] | None = None,
    architecture: str = "llama",
    said: dict[str, Any] | None = None,
) -> Path:
    """An adapter at `path`; `said` overrides what it says of itself, None leaves a key out."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in (SAID | (said or {})).items():
        _add(writer, key, value)
    for name, weights in (matrices(seed) if tensors is None else tensors).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    kinds: dict[type, Any] = {
        str: writer.add_string,
        np.float32: lambda name, number: writer.add_float32(name, float(number)),
        float: writer.add_float64,
        int: writer.add_uint32,
        list: writer.add_array,
    }
    if value is not None:
        kinds[type(value)](key, value)
