"""Reads a stored chain: its segments, plain or compressed, its lines, its head; and judges the chain in them.

Works beside a running gateway: the head is read first, so the lines are never older than it. A segment may be
compressed while it is read: who finds both forms takes the plain one, and who finds it gone takes the other.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import zstandard
from msgspec import Struct

from policies.audit_chain import MAX_LINE_BYTES, Head, StoredLine, Verdict, read_head, verify_lines

HEAD_NAME = "head"
MAX_HEAD_BYTES = 8192
COMPRESSED = ".zst"
PATIENCE = 3
"""How often a chain is read again because its head moved on while it was read."""
MAX_WINDOW_BYTES = 8 * 1024 * 1024
"""What decompressing may hold in memory; Corral's own segments need a quarter of it."""
_SEGMENT = re.compile(r"(?:([0-9]{12,})|.+)\.jsonl(\.zst)?\Z")


class HeadMissing(Exception):
    """There are segments and no head: it was removed, for a head is made before the first segment."""


class Segment(Struct, frozen=True):
    """One file of a chain. `first_seq` is what its name says (-1: nothing of ours), `name` is its plain form's name."""

    path: Path
    first_seq: int
    compressed: bool = False

    @property
    def name(self) -> str:
        """The name that lines, faults and the head know it by."""
        return self.path.name.removesuffix(COMPRESSED)


def segments(folder: Path) -> list[Segment]:
    """The chain's segments in the order of their seqs, each once. Raises OSError."""
    found: dict[str, Segment] = {}
    for path in sorted(folder.iterdir()):  # the plain form of a name sorts before the compressed one
        segment = segment_at(path)
        if segment is not None and segment.name not in found and path.is_file():
            found[segment.name] = segment
    return sorted(found.values(), key=lambda segment: segment.name)


def segment_at(path: Path) -> Segment | None:
    """What `path` names as a segment; None for any other file."""
    match = _SEGMENT.match(path.name)
    if match is None:
        return None
    return Segment(path, int(match[1]) if match[1] else -1, compressed=match[2] is not None)


def read_lines(segment: Segment) -> Iterator[StoredLine]:
    """The lines of one segment, their places those in its plain form; at most 64 KiB of a line are held.

    Where a compressed segment cannot be decompressed it ends in a line without newline, which no sound one does.
    Raises OSError.
    """
    name, number, offset_bytes = segment.name, 1, 0
    with open_segment(segment) as file:
        while data := _next_line(file):
            yield StoredLine(name, number, offset_bytes, data)
            number, offset_bytes = number + 1, offset_bytes + len(data)
            if not data.endswith(b"\n") and len(data) < MAX_LINE_BYTES:
                return


def open_segment(segment: Segment) -> io.BufferedReader:
    """The bytes of a segment's plain form, to be read once from the front. Raises OSError; reading, also ZstdError."""
    try:
        file = segment.path.open("rb")
    except FileNotFoundError:
        if segment.compressed:
            raise
        segment = Segment(segment.path.with_name(segment.name + COMPRESSED), segment.first_seq, compressed=True)
        file = segment.path.open("rb")
    if not segment.compressed:
        return file
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    return io.BufferedReader(unpacker.stream_reader(file, read_across_frames=True, closefd=True))


def _next_line(file: io.BufferedReader) -> bytes:
    try:
        return file.readline(MAX_LINE_BYTES)
    except zstandard.ZstdError:
        return b"\0"


def segment_paths(folder: Path) -> list[Path]:
    """Where the chain's segments are, in the order of their seqs. Raises OSError."""
    return [segment.path for segment in segments(folder)]


def is_chain(folder: Path) -> bool:
    """Whether `folder` holds a chain: a head or a segment. Raises OSError."""
    return (folder / HEAD_NAME).exists() or (folder.is_dir() and bool(segments(folder)))


def read_head_file(folder: Path) -> Head:
    """The chain's head. Raises HeadBroken, HeadMissing, OSError."""
    try:
        with (folder / HEAD_NAME).open("rb") as file:
            return read_head(file.read(MAX_HEAD_BYTES))
    except FileNotFoundError:
        raise HeadMissing("the head is missing") from None


def stored_lines(paths: list[Path]) -> Iterator[StoredLine]:
    """The lines of segments, one after the other, as `read_lines` gives them. Raises OSError."""
    for path in paths:
        yield from read_lines(segment_at(path) or Segment(path, -1))


def verify_chain(folder: Path) -> Verdict:
    """Judge the whole chain in `folder`. Raises HeadBroken, HeadMissing, OSError.

    What does not fit beyond the head may have been acknowledged while it was read: then once more.
    """
    for _ in range(PATIENCE):
        head = read_head_file(folder)
        verdict = verify_lines(stored_lines(segment_paths(folder)), head)
        if verdict.unfinished is None or read_head_file(folder) == head:
            break
    return verdict
