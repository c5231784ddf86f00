"""Shaped streams: few sizes, the same events for whoever reads them, and nothing held back beyond the end."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.wire import EVENT_STREAM, JSON, NDJSON
from gateway.stream_shape import BATCH_NS, WRITE_BYTES, Plain, Shaped, StreamShape, stream_shape

MS = 1_000_000
TEXTS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=3 * WRITE_BYTES[-1] // 2), max_size=12)


@dataclass
class Answer:
    content_type: str
    streamed: bool = True


def line(text: str) -> bytes:
    return json.dumps({"t": text}, ensure_ascii=False).encode() + b"\n"


def event(text: str) -> bytes:
    return b"data: " + line(text) + b"\n"


def read_lines(data: bytes) -> list[str]:
    return [json.loads(each)["t"] for each in data.split(b"\n") if each.strip()]


def read_events(data: bytes) -> list[str]:
    """As the standard says: lines that begin with a colon are passed over, an empty line ends an event."""
    found, held = [], []
    for each in data.decode().split("\n"):
        if each.startswith("data: "):
            held.append(each.removeprefix("data: "))
        elif each == "" and held:
            found.append(json.loads("\n".join(held))["t"])
            held = []
        else:
            assert each == "" or each.startswith(":")
    return found


def taken(shape: StreamShape) -> list[bytes]:
    found = []
    while data := shape.take():
        found.append(data)
    return found


KINDS = pytest.mark.parametrize(
    ("content_type", "write", "read"), [(NDJSON, line, read_lines), (EVENT_STREAM, event, read_events)]
)


@KINDS
@given(texts=TEXTS, mode=st.sampled_from(("padded", "batched")), step_ms=st.integers(0, 400))
def test_every_write_has_one_of_the_sizes_and_every_event_arrives(content_type, write, read, texts, mode, step_ms):
    shape = stream_shape(mode, Answer(content_type))
    assert shape.pads_head
    writes = []
    for number, text in enumerate(texts):
        shape.add(write(text), number * step_ms * MS)
        writes += taken(shape)
    shape.finish(write("last"))
    writes += taken(shape)
    assert {len(data) for data in writes} <= set(WRITE_BYTES)
    assert read(b"".join(writes)) == [*texts, "last"]


@KINDS
def test_every_gap_can_be_filled(content_type, write, read):
    for size in range(40):
        shape = Shaped(content_type)
        text = "x" * (WRITE_BYTES[0] - len(write("")) - size)
        shape.add(write(text), 0)
        (data,) = taken(shape)
        assert len(data) == WRITE_BYTES[0]
        assert read(data) == [text]


def test_a_chunk_of_either_size_is_a_round_number_of_bytes_on_the_wire():
    assert [len(b"%x\r\n" % size) + size + 2 for size in WRITE_BYTES] == [1024, 4096]


def test_padded_holds_nothing_back_and_batched_waits_for_the_clock_or_enough():
    padded = stream_shape("padded", Answer(NDJSON))
    for number in range(3):
        padded.add(line("a"), number)
        assert len(taken(padded)) == 1
    batched = stream_shape("batched", Answer(NDJSON))
    told = []
    for number in range(11):
        batched.add(line("a"), number * BATCH_NS // 5)
        told.append(len(taken(batched)))
    assert told == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    batched.add(line("b" * WRITE_BYTES[-1]), 11 * BATCH_NS // 5)
    assert len(taken(batched)) == 2
    batched.add(line("c"), 11 * BATCH_NS // 5)
    assert taken(batched) == []
    batched.finish(b"")
    assert read_lines(b"".join(taken(batched))) == ["c"]


def test_plain_and_whole_answers_are_left_alone():
    for shape in (
        stream_shape("plain", Answer(EVENT_STREAM)),
        stream_shape("padded", Answer(JSON, streamed=False)),
        Plain(),
    ):
        assert not shape.pads_head
        shape.add(b"abc", 0)
        assert taken(shape) == [b"abc"]
        shape.finish(b"")
        assert taken(shape) == []


def test_a_stream_of_another_type_is_refused_not_sent_unpadded():
    with pytest.raises(ValueError, match="cannot be padded"):
        stream_shape("padded", Answer("text/plain; charset=utf-8"))
