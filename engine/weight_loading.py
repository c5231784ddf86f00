"""Whether a worker maps the file of its weights into memory, or reads it into memory of its own. Pure.

A mapped file is held once for all processes that map it, and its pages can be dropped. But llama.cpp rearranges
matrices of some types for the CPU's widest instructions as it loads them, into private memory; the pages they came from
stay mapped beside the copy, though nothing reads them again. Read instead of mapped, each tensor is held once. So:

 (1) the processes that hold a model at the same time take together, mapped: the weights once, and what is rearranged
     in each; read: the weights in each. What is less is done, and mapping where they are equal
 (2) with layers on a GPU the file is mapped: from there weights go to the device, and llama.cpp lets go of their pages
 (3) rearranged are matrices of a type in `REPACKED` with a multiple of 8 rows, except the token table, which is looked
     up and not multiplied (`ggml_repack_get_optimal_repack_type` in ggml-cpu/repack.cpp). These types are on x86-64
     with AVX2 and on 64-bit ARM; ARM alone has more, which stay mapped as if they were not

Measured with SmolLM2-135M, one process: docs/fitting.md.
"""

import math

from engine.store.gguf_header import Tensor
from engine.store.gguf_types import TENSOR_TYPES

REPACKED = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
ROWS_TOGETHER = 8
_TABLES = ("token_embd", "per_layer_token_embd", "position_embd", "token_types")
_BLOCKS = {name: (weights, size_bytes) for name, weights, size_bytes in TENSOR_TYPES.values()}


def maps_weights(*, weights_bytes: int, repacked_bytes: int, processes: int, gpu_layers: int) -> bool:
    """Whether each of `processes` with the same model maps its file; rules at the head."""
    mapped_bytes = weights_bytes + processes * repacked_bytes
    return gpu_layers > 0 or mapped_bytes <= processes * weights_bytes


def repacked_bytes(tensor: Tensor) -> int:
    """What of the tensor is held a second time, rule (3): all of it or nothing."""
    is_matrix = len(tensor.shape) in {2, 3} and not tensor.name.startswith(_TABLES)
    if not is_matrix or tensor.type not in REPACKED or tensor.shape[1] % ROWS_TOGETHER:
        return 0
    block, size_bytes = _BLOCKS[tensor.type]
    return math.prod(tensor.shape) // block * size_bytes
