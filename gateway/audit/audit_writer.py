"""Writes one chain: lines into segments, then the head. One thread, no clock, no policy.

A commit is: lines appended, `fdatasync`, (for a new segment: the folder synced), the head replaced. It
is acknowledged when all of that is done, so an acknowledged line is always named by a lasting head,
and the head never names a line that is not lasting.

When a write or sync of lines fails, the segment is dead: the kernel may have dropped the pages and
would call the next sync a success (fsyncgate, 2018). It is cut back to its last synced line and never
appended to again; the same lines go once more, into a new segment. If that fails too, the commit has
failed: nothing of it stays, and the next one begins by clearing up.

When the lines are lasting and only the head fails, the lines stay (they are part of the chain, their
requests are refused all the same) and the next commit begins by writing the head, so there is never
more than one commit beyond it.
"""

import contextlib
from pathlib import Path

from msgspec import Struct

from gateway.audit.audit_disk import Disk, replace_file, write_all
from gateway.audit.audit_files import HEAD_NAME
from policies.audit_chain import GENESIS, Head, head_bytes, line_hash, link, segment_name

MAX_COMMIT_RECORDS = 512
"""Bounds what can lie beyond the head after a crash; at 500 bytes a record this is 256 KiB a commit."""


class ChainEnd(Struct, frozen=True, kw_only=True):
    """Where a stored chain ends: the seq to come, the last hash, the segment to go on in and its size.

    `segment` empty: the next line begins a new one.
    """

    next_seq: int = 0
    prev: str = GENESIS
    segment: str = ""
    segment_bytes: int = 0


class _Segment:
    """The segment being appended to; `good_bytes` are synced and end with a whole line."""

    def __init__(self, path: Path, descriptor: int, good_bytes: int, *, named: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        self.good_bytes = good_bytes
        self.named = named
        """Whether the folder was synced since the file was made."""


class ChainWriter:
    """Appends records to the chain in `folder`. Not thread-safe: one caller at a time."""

    def __init__(self, folder: Path, disk: Disk, segment_bytes: int, end: ChainEnd) -> None:
        self._folder = folder
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._next_seq = end.next_seq
        self._prev = end.prev
        self._segment: _Segment | None = None
        self._dead: _Segment | None = None
        self._head_behind = False
        self._last_segment = end.segment or segment_name(0)
        if end.segment:
            path = folder / end.segment
            self._segment = _Segment(path, disk.append(path), end.segment_bytes, named=True)

    @property
    def last_seq(self) -> int:
        """The seq of the last lasting line, -1 when there is none."""
        return self._next_seq - 1

    def commit(self, bodies: list[bytes]) -> None:
        """Chain encoded records, at most `MAX_COMMIT_RECORDS`, and make them lasting.

        Raises OSError when they are not acknowledged; then the next call tries again from sound ground.
        """
        self._clear_up()
        lines, prev = self._link(bodies)
        try:
            self._append(lines)
        except OSError:
            self._bury()
            self._append(lines)
        self._next_seq += len(bodies)
        self._prev = prev
        self._head_behind = True
        self._write_head()

    def write_head(self) -> None:
        """Name the last lasting line in the head. Raises OSError."""
        self._head_behind = True
        self._write_head()

    def close(self) -> None:
        """Give the segment's descriptor back; whatever was acknowledged is already lasting."""
        for segment in (self._segment, self._dead):
            if segment is not None:
                self._close(segment)
        self._segment = self._dead = None

    def _clear_up(self) -> None:
        """Finish what an earlier failure left: a dead segment to cut, a head to write."""
        self._bury()
        if self._head_behind:
            self._write_head()

    def _link(self, bodies: list[bytes]) -> tuple[bytes, str]:
        """The records as chained lines, and the hash of the last."""
        prev, lines = self._prev, []
        for seq, body in enumerate(bodies, self._next_seq):
            line = link(body, seq, prev)
            prev = line_hash(line)
            lines.append(line)
        return b"\n".join([*lines, b""]), prev

    def _append(self, lines: bytes) -> None:
        """Lines into the segment, synced. After any failure the segment is dead."""
        segment = self._room_for(len(lines))
        try:
            write_all(self._disk, segment.descriptor, lines)
            self._disk.sync(segment.descriptor)
            if not segment.named:
                self._disk.sync_folder(self._folder)
        except BaseException:  # a bug or no memory leaves half a line behind just as a disk does
            self._segment, self._dead = None, segment
            raise
        segment.named = True
        segment.good_bytes += len(lines)
        self._last_segment = segment.path.name

    def _room_for(self, size_bytes: int) -> _Segment:
        """The open segment, or a new one when there is none or it would grow past its bound."""
        segment = self._segment
        if segment is not None:
            if not segment.good_bytes or segment.good_bytes + size_bytes <= self._segment_bytes:
                return segment
            self._segment = None
            self._close(segment)
        path = self._folder / segment_name(self._next_seq)
        self._segment = _Segment(path, self._disk.create(path), 0, named=False)
        return self._segment

    def _bury(self) -> None:
        """Cut a dead segment back to its last synced line. Raises OSError, and is then tried again later."""
        dead = self._dead
        if dead is None:
            return
        if dead.good_bytes:
            self._disk.truncate(dead.path, dead.good_bytes)
        else:
            self._disk.remove(dead.path)
            self._disk.sync_folder(self._folder)
        self._dead = None
        self._close(dead)

    def _write_head(self) -> None:
        head = Head(self._next_seq - 1, self._prev, self._last_segment)
        replace_file(self._disk, self._folder / HEAD_NAME, head_bytes(head))
        self._head_behind = False

    def _close(self, segment: _Segment) -> None:
        """A close that fails loses nothing: the good bytes are synced, the others are cut."""
        with contextlib.suppress(OSError):
            self._disk.close(segment.descriptor)
