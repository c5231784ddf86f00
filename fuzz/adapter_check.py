"""Invariant: any file is a GgufFault of one printable line, or pairs of matrices that fit the base's weights."""

import io

from engine.store.adapter_check import MAX_ALPHA, MAX_RANK, alpha_of, parse_adapter, rank_of
from engine.store.gguf_header import GgufFault, GgufHeader, Tensor
from tests.unit.engine.tiny_gguf import Entry, gguf

WIDTH, ROWS, EXPERTS, RANK = 32, 64, 4, 4
PLAIN, EXPERT = "blk.0.attn_q.weight", "blk.0.ffn_up_exps.weight"
SAID: dict[str, Entry] = {
    "general.architecture": (8, "llama"),
    "general.type": (8, "adapter"),
    "adapter.type": (8, "lora"),
    "adapter.lora.alpha": (6, 8.0),
}
BASE = GgufHeader(
    version=3,
    metadata={"general.architecture": "llama"},
    tensors=(Tensor(PLAIN, "F32", (WIDTH, ROWS)), Tensor(EXPERT, "F32", (WIDTH, ROWS, EXPERTS))),
)


def _pair(name: str, *experts: int) -> bytes:
    a_bytes = 4 * WIDTH * RANK * (experts[0] if experts else 1)
    tensors = [
        (f"{name}.lora_a", (WIDTH, RANK, *experts), 0, 0),
        (f"{name}.lora_b", (RANK, ROWS, *experts), 0, a_bytes),
    ]
    return gguf(SAID, tensors, a_bytes + a_bytes // WIDTH * ROWS)


SEEDS = (_pair(PLAIN), _pair(EXPERT, EXPERTS))


def one(data: bytes) -> None:
    """Check one file."""
    try:
        adapter = parse_adapter(io.BytesIO(data), len(data), BASE)
    except GgufFault as refused:
        _check_words(str(refused))
        return
    shapes = {tensor.name: (*tensor.shape, 1, 1)[:3] for tensor in adapter.tensors}
    for weights in BASE.tensors:
        a, b = shapes.pop(f"{weights.name}.lora_a", None), shapes.pop(f"{weights.name}.lora_b", None)
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            experts = (*weights.shape, 1)[2]
            assert (a[0], a[1], a[2]) == (WIDTH, b[0], experts)
            assert (b[1], b[2]) == (ROWS, experts)
    assert not shapes
    assert 1 <= rank_of(adapter) <= MAX_RANK
    assert 0 <= alpha_of(adapter) <= MAX_ALPHA


def _check_words(words: str) -> None:
    assert words.isprintable()
    assert len(words) < 300
