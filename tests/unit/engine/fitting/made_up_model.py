"""Made-up headers and machines: real shapes, no weights."""

from typing import Any

from engine.fitting.machine import GIB, Gpu, Machine
from engine.fitting.model_size import LayerSize, ModelSize
from engine.store.gguf_header import GgufHeader, LongArray, Tensor


def header(architecture: str = "llama", tensors: tuple[Tensor, ...] = (), **numbers: Any) -> GgufHeader:
    """Keyword names have `__` for the dot and belong to the architecture."""
    keys = {f"{architecture}.{name.replace('__', '.')}": value for name, value in numbers.items()}
    return GgufHeader(version=3, metadata={"general.architecture": architecture, **keys}, tensors=tensors)


def llama(
    *, layers: int, width: int, heads: int, kv_heads: int, feed_forward: int, vocabulary: int, context: int
) -> GgufHeader:
    """A Llama in Q4_0 with its own output layer."""
    rows = width // heads * kv_heads
    shapes = {
        "attn_q.weight": (width, width),
        "attn_k.weight": (width, rows),
        "attn_v.weight": (width, rows),
        "attn_output.weight": (width, width),
        "ffn_gate.weight": (width, feed_forward),
        "ffn_up.weight": (width, feed_forward),
        "ffn_down.weight": (feed_forward, width),
    }
    tensors = [
        Tensor(f"blk.{number}.{name}", "Q4_0", shape) for number in range(layers) for name, shape in shapes.items()
    ]
    made = header(
        tensors=(
            Tensor("token_embd.weight", "Q4_0", (width, vocabulary)),
            *tensors,
            Tensor("output_norm.weight", "F32", (width,)),
            Tensor("output.weight", "Q6_K", (width, vocabulary)),
        ),
        block_count=layers,
        embedding_length=width,
        feed_forward_length=feed_forward,
        attention__head_count=heads,
        attention__head_count_kv=kv_heads,
        context_length=context,
    )
    made.metadata["tokenizer.ggml.tokens"] = LongArray(8, vocabulary)
    return made


LLAMA_2_7B = llama(layers=32, width=4096, heads=32, kv_heads=32, feed_forward=11008, vocabulary=32000, context=4096)
LLAMA_3_8B = llama(layers=32, width=4096, heads=32, kv_heads=8, feed_forward=14336, vocabulary=128256, context=8192)
SMOLLM2 = llama(layers=30, width=576, heads=9, kv_heads=3, feed_forward=1536, vocabulary=49152, context=8192)


def small(**changes: Any) -> ModelSize:
    """Four layers of 100 MB and 1024 keys and values; a gigabyte plans it in any way one likes."""
    size: dict[str, Any] = {
        "layers": (LayerSize(dense_bytes=10**8, key_numbers=1024, value_numbers=1024),) * 4,
        "input_bytes": 10**7,
        "output_bytes": 2 * 10**7,
        "shares_output": False,
        "width": 256,
        "heads": 8,
        "layer_numbers": 4096,
        "vocabulary": 1000,
        "context_length": 16384,
        "quantises_kv": True,
        "allows_flash": True,
    }
    return ModelSize(**size | changes)


def experts(**changes: Any) -> ModelSize:
    """The same with experts of 500 MB in each layer."""
    layer = LayerSize(dense_bytes=10**8, expert_bytes=5 * 10**8, key_numbers=1024, value_numbers=1024)
    return small(layers=(layer,) * 4, **changes)


def machine(memory_bytes: int = 8 * GIB, *gpus: Gpu, cores: int = 4) -> Machine:
    return Machine(cores=cores, memory_bytes=memory_bytes, gpus=gpus)


def nvidia(free_bytes: int, **changes: Any) -> Gpu:
    return Gpu(**{"name": "GPU 0", "kind": "nvidia", "free_bytes": free_bytes} | changes)
