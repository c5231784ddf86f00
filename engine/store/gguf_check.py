"""Refuses a GGUF file that cannot be a whole model, before a C parser sees one byte of it.

The parsers of llama.cpp and Ollama had overflows, reads beyond the file and unlimited allocations in this
place year after year (CVE-2024-21802 and its kin, CVE-2025-53630, CVE-2026-7482). So a file is read here
first, in Python, and refused with one sentence: what, where in the file, what it should be; nothing of the
file is quoted but numbers. In this order:

 (1) the header within its bounds: `gguf_header`; no token stands twice (llama.cpp asserts on that)
 (2) names of keys and tensors: printable ASCII, so that what C takes for a name is what was compared here
     (a zero byte would end it), and nothing of it steers a terminal
 (3) the file is whole: of a split model llama.cpp opens the other parts by names it makes up itself
 (4) layout: every tensor begins where the one before it ends, padded; nothing but padding follows the last.
     That is order, no overlap and no gap in one, and what llama.cpp demands (CVE-2026-7482 read beyond)
 (5) the parts agree with each other: `gguf_agreement`

Not decided here: whether the weights are finite (a decode after load), what the chat template may do
(`preparing/template.py`), and whether the content is the one that was asked for (its digest).
"""

from pathlib import Path
from typing import BinaryIO

from engine.store.gguf_agreement import check_agreement
from engine.store.gguf_header import GgufFault, GgufHeader, parse_header

DISTINCT_LISTS = frozenset({"tokenizer.ggml.tokens"})


def read_model(path: Path) -> GgufHeader:
    """The header of the whole model at `path`. Raises GgufFault for its content and OSError for the disk."""
    with path.open("rb") as file:
        return parse_model(file, path.stat().st_size)


def parse_model(file: BinaryIO, size_bytes: int) -> GgufHeader:
    """The header of an open file of `size_bytes`. Raises GgufFault and nothing else for its content.

    The weights are not read; memory follows the bounds of `gguf_header` and the length of the token list.
    """
    header = parse_whole_file(file, size_bytes)
    check_agreement(header)
    return header


def parse_whole_file(file: BinaryIO, size_bytes: int) -> GgufHeader:
    """Rules (1) to (4), which hold for every kind of GGUF file. Raises GgufFault and nothing else for its content."""
    header = parse_header(file, size_bytes, distinct=DISTINCT_LISTS)
    _check_names(header)
    _check_whole(header)
    _check_layout(header, size_bytes)
    return header


def _check_names(header: GgufHeader) -> None:
    for what, names in (("key", header.metadata), ("tensor", [tensor.name for tensor in header.tensors])):
        for number, name in enumerate(names, 1):
            if not name or not name.isascii() or not name.isprintable():
                raise GgufFault(f"the name of {what} {number} is not printable ASCII")


def _check_whole(header: GgufHeader) -> None:
    parts = header.metadata.get("split.count", 0)
    if parts not in (0, 1):
        raise GgufFault("the file is one part of a split model: join the parts with 'llama-gguf-split --merge'")


def _check_layout(header: GgufHeader, size_bytes: int) -> None:
    end_bytes, alignment = 0, header.alignment_bytes
    for number, tensor in enumerate(header.tensors, 1):
        if tensor.offset_bytes < end_bytes:
            raise GgufFault(
                f"the data of tensor {number} begins at byte {tensor.offset_bytes}, inside or before the data of "
                f"those before it; it should begin at {end_bytes}"
            )
        if tensor.offset_bytes > end_bytes:
            raise GgufFault(
                f"the data of tensor {number} begins at byte {tensor.offset_bytes} and leaves a gap; it should "
                f"begin at {end_bytes}"
            )
        end_bytes += -(-tensor.size_bytes // alignment) * alignment
    left_over = size_bytes - header.data_start_bytes - end_bytes
    if left_over > 0:
        raise GgufFault(f"{left_over} bytes follow the data of the last tensor; the file should end with it")
