"""Invariant: any file is a GgufFault of one printable line, or a model whose tensors fill its data without a gap."""

import io

from engine.store.gguf_check import parse_model
from engine.store.gguf_header import MAX_STRING_BYTES, GgufFault
from tests.unit.engine.tiny_gguf import model_bytes

SEEDS = (
    model_bytes(),
    model_bytes(general__alignment=(4, 64), llama__attention__head_count_kv=(9, (4, [1]))),
    model_bytes(tokenizer__ggml__tokens=(9, (8, ["a"])), tokenizer__ggml__token_type=(9, (5, [1]))),
    model_bytes(llama__expert_count=(4, 8), llama__expert_used_count=(4, 2), llama__rope__scaling__type=(8, "yarn")),
)
HEAD_BYTES = 24  # magic, version, two counts


class _Bounded(io.BytesIO):
    """A file that fails for a read beyond the bounds."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert 0 <= size <= MAX_STRING_BYTES
        return super().read(size)


def one(data: bytes) -> None:
    """Check one file as it is, and with magic, version and counts mended, so that the rest of it is read too."""
    _check(data)
    _check(SEEDS[0][:HEAD_BYTES] + data[HEAD_BYTES:])


def _check(data: bytes) -> None:
    try:
        header = parse_model(_Bounded(data), len(data))
    except GgufFault as refused:
        _check_words(str(refused))
        return
    end_bytes = header.data_start_bytes
    for tensor in header.tensors:
        assert header.data_start_bytes + tensor.offset_bytes == end_bytes
        assert end_bytes + tensor.size_bytes <= len(data)
        end_bytes += -(-tensor.size_bytes // header.alignment_bytes) * header.alignment_bytes
    assert len(data) <= end_bytes


def _check_words(words: str) -> None:
    assert words.isprintable()
    assert len(words) < 300
