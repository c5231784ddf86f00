"""Invariant: a file is a whole model within its bounds, or a GgufFault says in one sentence why not."""

import contextlib
import io
import random
from pathlib import Path

import gguf as official
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.gguf_check import parse_model, read_model
from engine.store.gguf_header import MAX_STRING_BYTES, GgufFault, GgufHeader, LongArray
from fuzz.gguf_mutation import mutated, mutations
from tests.unit.engine.tiny_gguf import LLAMA, Entry, TensorEntry, gguf, model_bytes

MODEL_FILE = Path(__file__).parents[4] / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDING: TensorEntry = ("token_embd.weight", (32, 4), 0, 0)
SMALL = model_bytes()
HEAD_BYTES = len(SMALL) - 256


class Bounded(io.BytesIO):
    """A file that counts reads, and fails for one of more than the bounds or of all that is left."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert 0 <= size <= MAX_STRING_BYTES
        self.reads += 1
        return super().read(size)


def check(data: bytes) -> GgufHeader:
    return parse_model(Bounded(data), len(data))


def fault(data: bytes) -> str:
    with pytest.raises(GgufFault) as caught:
        check(data)
    return str(caught.value)


def two(second: TensorEntry, data_bytes: int = 1024, **changes: Entry) -> bytes:
    """A model with an embedding of 512 bytes and `second` behind it."""
    entries = LLAMA | {key.replace("__", "."): entry for key, entry in changes.items()}
    return gguf(entries, [EMBEDDING, second], data_bytes)


def test_a_small_whole_model_passes() -> None:
    assert check(SMALL).architecture == "llama"
    assert check(two(("output_norm.weight", (32,), 0, 512), 640)).tensors[1].offset_bytes == 512
    assert check(model_bytes(split__count=(2, 1)))
    assert check(SMALL[:-1] + b"x").parameter_count == 64  # the weights are not read


def test_the_real_model_passes() -> None:
    if not MODEL_FILE.exists():
        pytest.skip("the small real model has not been fetched: 'make setup' does")
    assert len(read_model(MODEL_FILE).tensors) == 272


def test_a_file_of_the_official_writer_passes(tmp_path: Path) -> None:
    path = tmp_path / "official.gguf"
    writer = official.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(["a", "b", "c"])
    writer.add_token_types([1, 1, 1])
    writer.add_token_scores([0.0, -1.0, -2.0])
    writer.add_tensor("token_embd.weight", np.zeros((3, 8), dtype=np.float16))
    writer.add_tensor("output_norm.weight", np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_model(path)
    assert [tensor.size_bytes for tensor in header.tensors] == [48, 32]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GGUF", "shorter than a GGUF header"),
        (gguf(LLAMA | {"": (4, 1)}), "name of key 10 is not printable ASCII"),
        (gguf(LLAMA | {"a\0b": (4, 1)}), "name of key 10 is not printable ASCII"),
        (gguf(LLAMA | {"\u00e9": (4, 1)}), "name of key 10 is not printable ASCII"),
        (two(("output\0", (32,), 0, 512)), "name of tensor 2 is not printable ASCII"),
        (model_bytes(split__count=(2, 3)), "one part of a split model: join the parts"),
        (two(("x", (32,), 0, 480)), "tensor 2 begins at byte 480, inside or before the data of those before it"),
        (two(("x", (32,), 0, 0)), "inside or before the data of those before it; it should begin at 512"),
        (two(("x", (32,), 0, 544)), "tensor 2 begins at byte 544 and leaves a gap; it should begin at 512"),
        (gguf(LLAMA, [("x", (32,), 0, 32)], 512), "tensor 1 begins at byte 32 and leaves a gap"),
        (two(("x", (32,), 0, 512), 641), "1 bytes follow the data of the last tensor"),
        (two(("x", (32,), 0, 512), 639), "truncated: 1 bytes"),
        (two(("x", (32,), 0, 2**63 - 32)), "missing; copy it again"),
        (gguf(LLAMA), "no tensor token_embd.weight"),
        (model_bytes(tokenizer__ggml__tokens=(9, (8, ["a", "a"]))), "string 1 of a list"),
    ],
)
def test_every_refusal_says_what_and_where(data: bytes, words: str) -> None:
    said = fault(data)
    assert words in said
    assert "\n" not in said
    assert said.isprintable()


def test_nothing_of_the_file_is_quoted() -> None:
    said = fault(gguf(LLAMA | {"general.architecture": (8, "sEcReT"), "sEcReT.block_count": (4, 0)}))
    assert "sEcReT" not in said
    assert "sEcReT" not in fault(two(("sEcReT", (33,), 3, 512)))


def test_a_large_header_is_read_once_and_its_lists_are_not_kept() -> None:
    tokens, merges = [f"token{number}" for number in range(100_000)], ["a b"] * 100_000
    start = 32 * 4 * len(tokens)
    tensors: list[TensorEntry] = [("token_embd.weight", (32, len(tokens)), 0, 0)]
    tensors += [(f"blk.{number}.weight", (32,), 0, start + 128 * number) for number in range(5_000)]
    lists = {"tokenizer.ggml.tokens": (9, (8, tokens)), "tokenizer.ggml.merges": (9, (8, merges))}
    head = gguf(LLAMA | lists, tensors)
    file = Bounded(head)
    header = parse_model(file, len(head) + start + 128 * 5_000)
    assert len(header.tensors) == 5_001
    assert header.metadata["tokenizer.ggml.tokens"] == LongArray(8, 100_000)
    assert header.metadata["tokenizer.ggml.merges"] == LongArray(8, 100_000)
    assert file.reads <= 2 + 2 * len(head) // 2**20


@given(st.data())
def test_no_flip_cut_or_insertion_raises_anything_else(data: st.DataObject) -> None:
    changed = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, HEAD_BYTES - 1))
        match data.draw(st.sampled_from(("flip", "insert", "remove"))):
            case "flip":
                changed[at] ^= 1 << data.draw(st.integers(0, 7))
            case "insert":
                changed[at:at] = data.draw(st.binary(min_size=1, max_size=16))
            case _:
                del changed[at : at + data.draw(st.integers(1, 16))]
    cut = data.draw(st.integers(0, len(changed)))
    for whole in (bytes(changed), bytes(changed[:cut])):
        with contextlib.suppress(GgufFault):
            check(whole)


def test_no_mutation_of_the_table_raises_anything_else() -> None:
    passed, kinds = 0, set()
    for mutation in mutations(SMALL, HEAD_BYTES, random.Random(1), 400):
        kinds.add(mutation.kind)
        with contextlib.suppress(GgufFault):
            check(mutated(SMALL, mutation))
            passed += 1
    assert len(kinds) == 9
    assert passed < 200  # what passes changed a name or a number within its range
    assert [m.edit for m in mutations(SMALL, HEAD_BYTES, random.Random(1), 50)] == [
        m.edit for m in mutations(SMALL, HEAD_BYTES, random.Random(1), 50)
    ]
