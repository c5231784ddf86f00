"""Invariants: a body's end does not depend on where the network cuts it; no two framings of one wire differ.

The end found here is the first one that the grammar allows, or a fault.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.body_framing import (
    MAX_EXTENSION_BYTES,
    MAX_TRAILER_BYTES,
    SLACK_BYTES,
    BodyFault,
    ChunkedFraming,
    FixedFraming,
)

REST = b"GET / HTTP/1.1\r\n"
EXTENSION = st.text('abc=" ;', max_size=30).map(lambda text: b";" + text.encode() if text else b"")
CHUNK = st.tuples(st.binary(min_size=1, max_size=40), EXTENSION)
TRAILERS = st.lists(st.sampled_from([b"X-A: b\r\n", b"Digest:\r\n"]), max_size=2).map(b"".join)


def framed(chunks: list[tuple[bytes, bytes]], trailers: bytes = b"") -> bytes:
    parts = [b"%x%b\r\n%b\r\n" % (len(data), extension, data) for data, extension in chunks]
    return b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


def taken(framing: ChunkedFraming, pieces: list[bytes]) -> int:
    total = 0
    for piece in pieces:
        size = framing.take(piece)
        total += size
        if size < len(piece):
            break
    return total


def fault_of(*pieces: bytes) -> str:
    framing = ChunkedFraming()
    with pytest.raises(BodyFault) as caught:
        taken(framing, list(pieces))
    return caught.value.reason


@given(st.lists(CHUNK, max_size=5), TRAILERS, st.integers(0, 500), st.integers(0, 500))
def test_the_end_is_found_wherever_it_is_cut(
    chunks: list[tuple[bytes, bytes]], trailers: bytes, first: int, second: int
) -> None:
    wire = framed(chunks, trailers)
    cuts = sorted({min(cut, len(wire)) for cut in (first, second)})
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    pieces[-1] += REST
    framing = ChunkedFraming()
    assert taken(framing, [piece for piece in pieces if piece]) == len(wire)
    assert framing.done


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_end_alike_however_they_are_cut(wire: bytes, step: int) -> None:
    ends = set()
    for pieces in ([wire], [wire[start : start + step] for start in range(0, len(wire), step)]):
        framing = ChunkedFraming()
        try:
            ends.add((taken(framing, pieces), framing.done))
        except BodyFault:
            ends.add((-1, False))
    assert len(ends) == 1


@given(st.integers(0, 100), st.lists(st.integers(0, 60), max_size=6))
def test_a_fixed_length_is_exact(length: int, sizes: list[int]) -> None:
    framing = FixedFraming(length)
    total = sum(framing.take(b"x" * size) for size in sizes)
    assert total == min(length, sum(sizes))
    assert framing.done is (total == length)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"\r\n", "chunk_head"),
        (b"g\r\n", "chunk_head"),
        (b"5\n", "chunk_head"),
        (b" 5\r\n", "chunk_head"),
        (b"5 \r\n", "chunk_head"),
        (b"000000005\r\n", "chunk_head"),
        (b"5;\x00\r\n", "chunk_head"),
        (b"5;" + b"a" * MAX_EXTENSION_BYTES + b"\r\n", "chunk_head"),
        (b"5;" + b"a" * 1000, "chunk_line_too_long"),
        (b"1\r\nab\r\n", "chunk_line_too_long"),
        (b"1\r\na\n", "chunk_data_end"),
        (b"1\r\na" + b"\n\n", "chunk_data_end"),
        (b"0\r\nContent-Length: 5\r\n\r\n", "trailer"),
        (b"0\r\ntransfer-ENCODING: chunked\r\n\r\n", "trailer"),
        (b"0\r\n folded\r\n\r\n", "trailer"),
        (b"0\r\nX: a\n\r\n", "trailer"),
        (b"0\r\nX: " + b"a" * MAX_TRAILER_BYTES, "chunk_line_too_long"),
        (b"0\r\n" + (b"X: " + b"a" * 600 + b"\r\n") * 2, "trailer_too_long"),
        (b"1\r\na\r\n" * 20_000, "chunk_overhead"),
    ],
)
def test_what_is_refused(wire: bytes, reason: str) -> None:
    assert fault_of(wire) == reason
    assert fault_of(*(wire[start : start + 1] for start in range(len(wire)))) == reason


def test_the_longest_extension_and_the_most_framing() -> None:
    framing = ChunkedFraming()
    line = b"1;" + b"a" * (MAX_EXTENSION_BYTES - 1) + b"\r\n"
    assert framing.take(line + b"x\r\n0\r\n\r\n") == len(line) + 8
    assert framing.done
    many = SLACK_BYTES // 4 - 10  # each chunk of one byte is 5 bytes of framing, and 1 that may be doubled
    framing = ChunkedFraming()
    wire = b"1\r\nx\r\n" * many + b"0\r\n\r\n"
    assert framing.take(wire) == len(wire)
    assert framing.done
