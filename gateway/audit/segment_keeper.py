"""What becomes of a segment once nothing is added to it: closed to writing, compressed, and in the end pruned.

Sealing: the file is read back from the disk and its SHA-256 held against the one that the next segment's first line
vouches for, then its mode becomes 0440. Compressing: a `.zst` beside it, written under another name, synced,
decompressed once more for the same SHA-256, renamed; only then the plain form goes. A power cut leaves one whole form
or both, and who finds both takes the plain one, so the next round simply begins anew.

Pruning removes the oldest segment. Its record, and a checkpoint over that, are lasting before the file goes
(gateway/audit/audit_keeping.py), and each removal is lasting before the next, so that what is left is always one
piece that begins where a lasting record says so.

Everything here blocks. It works beside the writer, which touches only segments from `open_from` on.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

import msgspec
import zstandard
from msgspec import Struct

from gateway.audit.audit_disk import Disk, write_all
from gateway.audit.audit_files import COMPRESSED, Segment, open_segment, read_lines, segments
from policies.auditing.segment_life import Hold, Span, may_go
from policies.auditing.segment_records import Pruned, read_opened, recorded_s

CHUNK_BYTES = 1024 * 1024
ZSTD_LEVEL = 3
"""The library's default: a tenth of the size at some 200 MiB a second."""


class SegmentChanged(Exception):
    """A closed segment is not what was written; the message is one line. It is left as it is."""


class SegmentKeeper:
    """The closed segments of one chain. `open_from` is the first seq that the writer may still touch, `closed` the
    last segment it closed and that one's SHA-256.
    """

    def __init__(
        self, folder: Path, disk: Disk, open_from: Callable[[], int], closed: Callable[[], tuple[str, str]]
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._open_from = open_from
        self._closed = closed

    def seal(self) -> Iterator[str]:
        """Seal and compress every closed segment that is not yet; their names. Raises SegmentChanged, OSError."""
        for segment, after in self._closed_ones():
            if not segment.compressed:
                self._seal(segment, self._vouched(segment, after))
                yield segment.name

    def prunable(self, now_s: float, retention_days: int, holds: Iterable[Hold]) -> Pruned | None:
        """The oldest segment that may go, as its record will tell it. Raises OSError.

        Segments of a log that did not yet write `segment.opened` go together with the last of them: the rest of the
        chain is proven from the first line of the next one.
        """
        oldest: Segment | None = None
        for segment, after in self._closed_ones():
            oldest = oldest or segment
            line = _first_line(after) if after is not None else b""
            opened = read_opened(line)
            if opened is None or opened.tree is None:
                continue
            span = Span(recorded_s(_first_line(oldest)), recorded_s(line))
            if not may_go(span, now_s, retention_days, holds):
                return None
            return Pruned(oldest.first_seq, opened.first_seq - 1, _prev_of(line), opened.tree)
        return None

    def remove(self, pruned: Pruned) -> None:
        """Remove what the record tells of, oldest first, lastingly. Raises OSError."""
        for segment, _ in self._closed_ones():
            if pruned.first_seq <= segment.first_seq <= pruned.last_seq:
                plain = self._folder / segment.name
                for path in (plain.with_name(plain.name + COMPRESSED), plain):
                    if path.exists():
                        self._disk.remove(path)
                self._disk.sync_folder(self._folder)

    def _closed_ones(self) -> list[tuple[Segment, Segment | None]]:
        """Closed segments, oldest first, each with the one after it."""
        open_from = self._open_from()
        stored = segments(self._folder)
        pairs = zip_longest(stored, stored[1:])
        return [(segment, after) for segment, after in pairs if 0 <= segment.first_seq < open_from]

    def _vouched(self, segment: Segment, after: Segment | None) -> str:
        """The SHA-256 that the segment must have; empty where nothing says so."""
        name, sha256 = self._closed()
        if name == segment.name:
            return sha256
        opened = read_opened(_first_line(after)) if after is not None else None
        return opened.prev_segment_sha256 if opened is not None and opened.prev_segment == segment.name else ""

    def _seal(self, segment: Segment, vouched: str) -> None:
        _forget_cached(segment.path)
        sha256 = _sha256(segment)
        if vouched not in ("", sha256):
            raise SegmentChanged(f"{segment.path} is not what was written: see 'corral audit verify', keep the disk")
        self._disk.protect(segment.path)
        fresh = segment.path.with_name(f"{segment.name}{COMPRESSED}.new")
        self._disk.remove(fresh)
        try:
            self._compress(segment, fresh)
            if _sha256(Segment(fresh, segment.first_seq, compressed=True)) != sha256:
                raise SegmentChanged(f"{segment.path} could not be compressed: what was written cannot be read back")
            self._disk.protect(fresh)
            self._disk.rename(fresh, segment.path.with_name(segment.name + COMPRESSED))
        except BaseException:
            with contextlib.suppress(OSError):
                self._disk.remove(fresh)
            raise
        self._disk.sync_folder(self._folder)
        self._disk.remove(segment.path)
        self._disk.sync_folder(self._folder)

    def _compress(self, segment: Segment, fresh: Path) -> None:
        size_bytes = segment.path.stat().st_size
        packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj(size=size_bytes)
        descriptor = self._disk.create(fresh)
        try:
            with segment.path.open("rb") as file:
                for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
                    write_all(self._disk, descriptor, packer.compress(chunk))
            write_all(self._disk, descriptor, packer.flush())
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)


class _Chained(Struct):
    prev: str


def _prev_of(line: bytes) -> str:
    """The hash of the line before, as a line of ours tells it."""
    return msgspec.json.decode(line, type=_Chained).prev


def _first_line(segment: Segment) -> bytes:
    return next((line.data for line in read_lines(segment)), b"")


def _sha256(segment: Segment) -> str:
    """Of its plain form. Raises OSError; SegmentChanged for what cannot be decompressed."""
    try:
        with open_segment(segment) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except zstandard.ZstdError as fault:
        raise SegmentChanged(f"{segment.path} cannot be decompressed: {fault}") from None


def _forget_cached(path: Path) -> None:
    """So that what is read next comes from the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
