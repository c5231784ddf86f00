"""What the context memory of a worker is made of: how many cells, numbers of which type, read by which kernels.

A cell holds the keys and values of one token of one sequence. Smaller types than f16 need a head of whole blocks of
32 numbers, and for values flash attention; what llama.cpp refuses it refuses when the context is made.
"""

from typing import Literal, get_args

from msgspec import Struct

KvName = Literal["f16", "bf16", "q8_0", "q4_0"]
KV_TYPES: tuple[KvName, ...] = get_args(KvName)
CPU_TILE_ROWS = 64
"""`GGML_FA_TILE_Q` of llama.cpp's flash attention on the CPU."""


class KvMemory(Struct, frozen=True, kw_only=True):
    """`cells` 0: as many as all slots' contexts have. `flash_attention` None leaves the choice to llama.cpp."""

    cells: int = 0
    kv_type: KvName = "f16"
    flash_attention: bool | None = None


def shared_cells(memory: KvMemory, *, slots: int, context_tokens: int) -> int:
    """The cells of all slots together: never more than they could use."""
    all_contexts = slots * context_tokens
    return min(memory.cells, all_contexts) if memory.cells else all_contexts


def slot_context_tokens(memory: KvMemory, *, asked_tokens: int, trained_tokens: int) -> int:
    """What one request may use: never beyond what the model was trained for (0: the file does not say), nor beyond
    all cells.
    """
    bounds = (asked_tokens, trained_tokens, memory.cells)
    return min(bound for bound in bounds if bound > 0)


def tile_rows(memory: KvMemory, *, gpu_layers: int) -> int:
    """From how many rows on a batch is read in tiles, a row against all cells that any row of its tile sees; 0: never.

    So does flash attention on the CPU for 16-bit floats alone (ggml-cpu/ops.cpp, `use_tiled`).
    """
    tiled = memory.kv_type == "f16" and memory.flash_attention is not False and not gpu_layers
    return CPU_TILE_ROWS if tiled else 0


def remedy(memory: KvMemory) -> str:
    """What to change when llama.cpp makes no context of it."""
    if memory.kv_type in {"q8_0", "q4_0"} and memory.flash_attention is False:
        return f"kv_type {memory.kv_type} needs flash attention: turn it on, or use kv_type f16"
    if memory.kv_type != "f16" or memory.flash_attention:
        return "use kv_type f16 without flash attention, or less context"
    return "use fewer slots, less context or a smaller kv_type"
