"""Lines of segments by their place: read on from one, or read again for a hit. Places are those in the plain form."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import zstandard

from gateway.audit.audit_files import Segment, open_segment, segment_at
from policies.audit_chain import MAX_LINE_BYTES

CHUNK_BYTES = 1 << 20


def lines_from(segment: Segment, start: int) -> Iterator[tuple[int, bytes]]:
    """The whole lines from `start` on, without their newlines, each with its place.

    It ends before a line that does not end: it is being written, was torn, or is too long to be one. Raises OSError.
    """
    with open_segment(segment) as file:
        if not _skip(file, start):
            return
        while (line := _next(file)).endswith(b"\n"):
            yield start, line[:-1]
            start += len(line)


def lines_at(folder: Path, name: str, starts: Iterable[int]) -> Iterator[bytes | None]:
    """The lines of one segment at `starts`, which must grow; None where no whole line begins. Raises OSError."""
    segment = segment_at(folder / name)
    if segment is None:
        raise FileNotFoundError(2, "no segment", str(folder / name))
    with open_segment(segment) as file:
        at = 0
        for start in starts:
            line = _next(file) if _skip(file, start - at) else b""
            at = start + len(line)
            yield line[:-1] if line.endswith(b"\n") else None


def _skip(file: IO[bytes], count: int) -> bool:
    """Read past `count` bytes; False when there are fewer."""
    if file.seekable():
        file.seek(count, 1)
        return True
    try:
        while count > 0 and (data := file.read(min(count, CHUNK_BYTES))):
            count -= len(data)
    except zstandard.ZstdError:
        return False
    return count <= 0


def _next(file: IO[bytes]) -> bytes:
    """The next line; one without newline for anything that is none."""
    try:
        return file.readline(MAX_LINE_BYTES)
    except zstandard.ZstdError:
        return b""
