"""Invariant: whatever bytes come, a header is read within file and bounds, or a GgufFault says why not."""

import contextlib
import io
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store import gguf_header
from engine.store.gguf_header import GgufFault, LongArray, Tensor, parse_header, read_header
from tests.unit.engine.tiny_gguf import LLAMA, gguf, model_bytes, text

SMALL = model_bytes(tokenizer__ggml__tokens=(9, (8, ["a", "b", "c"])), x__flag=(7, True), x__list=(9, (5, [1, 2])))


class Watched(io.BytesIO):
    """A file that counts what is asked of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.largest = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0
        self.largest = max(self.largest, size)
        return super().read(size)


def parse(data: bytes) -> gguf_header.GgufHeader:
    return parse_header(io.BytesIO(data), len(data))


def fault(data: bytes) -> str:
    with pytest.raises(GgufFault) as caught:
        parse(data)
    return str(caught.value)


def test_a_whole_file_is_read() -> None:
    header = parse(SMALL)
    assert header.version == 3
    assert header.architecture == "llama"
    assert header.parameter_count == 64
    assert header.quantization == "Q4_1"
    assert header.of_architecture("context_length") == 256
    assert header.metadata["x.flag"] is True
    assert header.metadata["x.list"] == (1, 2)
    assert header.tensors == (
        Tensor("token_embd.weight", "F32", (32, 1), 0, 128),
        Tensor("output_norm.weight", "F32", (32,), 128, 128),
    )
    assert (header.alignment_bytes, header.data_start_bytes) == (32, len(SMALL) - 256)


def test_version_2_is_read_and_a_file_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf(LLAMA, version=2))
    assert read_header(path).version == 2
    assert parse(gguf(LLAMA | {"general.file_type": (4, 999)})).quantization == "unknown"


def test_long_arrays_are_walked_but_not_kept() -> None:
    numbers = gguf(LLAMA | {"x": (9, (6, [0.5] * 5000)), "y": (9, (8, ["ab"] * 5000)), "z": (4, 7)})
    metadata = parse(numbers).metadata
    assert metadata["x"] == LongArray(6, 5000)
    assert metadata["y"] == LongArray(8, 5000)
    assert metadata["z"] == 7


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "shorter than a GGUF header"),
        (b"GGUF" + bytes(3), "shorter than a GGUF header"),
        (b"lmgg" + bytes(64), "legacy GGML"),
        (b"tjgg" + bytes(64), "legacy GGJT: convert"),
        (b"PK\x03\x04" + bytes(64), "not a GGUF file: a PyTorch or zip archive"),
        (b"\x7fELF" + bytes(64), "not a GGUF file"),
        (gguf(LLAMA, version=1), "version 1"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(64), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0) + bytes(64), "tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60) + bytes(64), "keys"),
        (b"GGUF" + struct.pack("<IQQ", 3, 5000, 0) + bytes(64), "5000 tensors, more than it can hold"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 5000) + bytes(64), "5000 keys, more than it can hold"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62) + bytes(64), "bytes of key"),
        (gguf(LLAMA | {"k": (8, "x" * 10)})[:-40], "truncated inside its header"),
        (gguf({}), "does not name its architecture"),
        (gguf({"general.architecture": (4, 1)}), "does not name its architecture"),
        (model_bytes()[:-200], "truncated: 200 bytes"),
        (gguf(LLAMA | {"x": (9, (9, []))}), "unsupported type 9"),
        (gguf(LLAMA | {"general.alignment": (4, 3)}), "alignment"),
        (gguf(LLAMA | {"general.alignment": (8, "32")}), "alignment"),
        (gguf(LLAMA | {"general.alignment": (4, 4)}), "alignment is not a power of two from 8 to 65536"),
        (gguf(LLAMA | {"general.alignment": (4, 2**17)}), "alignment"),
        (gguf(LLAMA, [("t", (32,), 4, 0)], 4096), "unknown or retired type 4"),
        (gguf(LLAMA, [("t", (2**40, 2**40), 0, 0)], 4096), "impossible shape"),
        (gguf(LLAMA, [("t", (0,), 0, 0)], 4096), "impossible shape"),
        (gguf(LLAMA, [("t", (), 0, 0)], 4096), "impossible shape"),
        (gguf(LLAMA, [("t", (33,), 3, 0)], 4096), "not whole blocks of 32"),
        (gguf(LLAMA, [("t", (1, 1, 1, 1, 1), 0, 0)], 4096), "dimensions"),
        (gguf(LLAMA, [("t", (1,), 0, 1)], 4096), "tensor 1 begins at byte 1 of the data, not at a multiple of 32"),
        (gguf(LLAMA, [("t", (1,), 0, 0), ("t", (1,), 0, 0)], 4096), "tensor 2 has a name that one before it has"),
        (gguf(LLAMA, [("t", (1,), 0, 2**63)], 4096), "truncated"),
        (gguf(LLAMA, [("t" * 64, (1,), 0, 0)], 4096), "tensor name"),
        (model_bytes(llama__block_count=(4, 0)), "block_count"),
        (model_bytes(llama__block_count=(4, 10**9)), "block_count"),
        (model_bytes(llama__block_count=(8, "1")), "block_count"),
        (model_bytes(llama__block_count=(4, 513)), "block_count"),
        (model_bytes(llama__context_length=(4, 0)), "context_length"),
        (model_bytes(llama__context_length=(4, 2**24 + 1)), "context_length"),
        (model_bytes(llama__expert_count=(4, 1025)), "expert_count"),
        (model_bytes(llama__attention__key_length=(4, 0)), "key_length"),
        (model_bytes(llama__attention__layer_norm_rms_epsilon=(6, 0.0)), "epsilon"),
        (model_bytes(llama__attention__head_count_kv=(9, (4, [1, 10**6]))), "head_count_kv"),
        (model_bytes(llama__attention__layer_norm_rms_epsilon=(6, math.nan)), "epsilon"),
        (
            model_bytes(tokenizer__ggml__tokens=(9, (8, ["a"])), tokenizer__ggml__eos_token_id=(4, 10**9)),
            "eos_token_id",
        ),
    ],
)
def test_every_fault_is_named(data: bytes, words: str) -> None:
    assert words in fault(data)


def test_a_list_without_doubles_is_held_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def strings(items: list[str]) -> gguf_header.GgufHeader:
        data = gguf(LLAMA | {"x": (9, (8, items))})
        return parse_header(io.BytesIO(data), len(data), distinct=frozenset({"x"}))

    assert strings(["a", "b", "", ""]).metadata["x"] == ("a", "b", "", "")
    assert strings([str(number) for number in range(2000)]).metadata["x"] == LongArray(8, 2000)
    monkeypatch.setattr(gguf_header, "MAX_DISTINCT_ITEMS", 2000)
    with pytest.raises(GgufFault, match="2001 array items, more than the 2000"):
        strings([str(number) for number in range(2001)])
    for items in (["a", "b", "a"], [*map(str, range(1999)), "1998"]):
        with pytest.raises(GgufFault, match="none may stand twice"):
            strings(items)


def test_arrays_beyond_the_window_are_stepped_over() -> None:
    header = parse(gguf(LLAMA | {"x": (9, (0, [1] * (2 * 1024 * 1024))), "y": (4, 7)}))
    assert (header.metadata["x"], header.metadata["y"]) == (LongArray(0, 2 * 1024 * 1024), 7)


def test_a_file_that_shrinks_while_it_is_read() -> None:
    with pytest.raises(GgufFault, match="truncated inside its header"):
        parse_header(io.BytesIO(SMALL[:100]), len(SMALL))


def test_a_key_twice_an_unknown_value_type_and_a_key_that_is_no_text() -> None:
    entry = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 2)
    assert "twice" in fault(head + entry + entry)
    assert "unknown type 77" in fault(head + entry + text("x") + struct.pack("<I", 77) + bytes(8))
    assert "not UTF-8" in fault(head + entry + struct.pack("<Q", 2) + b"\xff\xff" + bytes(16))


def test_the_header_itself_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_header, "MAX_HEADER_BYTES", 64)
    assert "longer than 64 bytes" in fault(SMALL)


def test_none_as_token_id_and_an_empty_token_list_pass() -> None:
    assert parse(model_bytes(tokenizer__ggml__tokens=(9, (8, [])), tokenizer__ggml__bos_token_id=(4, 2**32 - 1)))


@given(st.data())
def test_no_mutation_raises_anything_else(data: st.DataObject) -> None:
    mutated = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        width = data.draw(st.sampled_from((1, 4, 8)))
        value = data.draw(st.sampled_from((0, 1, 2, 8, 9, 255, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)))
        mutated[position : position + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    cut = data.draw(st.integers(0, len(mutated)))
    file = Watched(bytes(mutated[:cut]))
    with contextlib.suppress(GgufFault):
        parse_header(file, cut)
    assert file.largest <= gguf_header.MAX_STRING_BYTES


@given(st.binary(max_size=300))
def test_no_garbage_raises_anything_else(tail: bytes) -> None:
    for data in (tail, b"GGUF\x03\0\0\0" + tail):
        try:
            parse(data)
        except GgufFault:
            continue
