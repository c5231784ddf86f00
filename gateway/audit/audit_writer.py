"""Writes one chain: lines into segments, then the head. One thread, no clock, no policy.

A commit is: lines appended, `fdatasync`, (for a new segment: the folder synced). It is acknowledged when that is done.
The head, which takes two more syncs, follows at once, or where it may lag within `HEAD_EVERY_RECORDS`, at `settle` and
when a segment ends; it never names a line that is not lasting.

A new segment begins with `segment.opened`, in the same write as the lines it was opened for. One that is
full or a day old ends with `segment.sealed`, a commit of its own: whatever is compressed or pruned later lies
wholly at or before the head (gateway/audit/segment_keeper.py).

When a write or sync of lines fails, the segment is dead: the kernel may have dropped the pages and
would call the next sync a success (fsyncgate, 2018). It is cut back to its last synced line and never
appended to again; the same lines go once more, into a new segment. If that fails too, the commit has
failed: nothing of it stays, and the next one begins by clearing up.

When the lines are lasting and only the head fails, the lines stay (they are part of the chain, their
requests are refused all the same) and the next commit begins by writing the head.
"""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct, structs

from gateway.audit.audit_disk import Disk, replace_file, write_all
from gateway.audit.audit_files import HEAD_NAME
from policies.audit_chain import GENESIS, Head, encode_entry, head_bytes, line_hash, link, segment_name
from policies.auditing.merkle import EMPTY, CompactRange, leaf_hash
from policies.auditing.segment_life import SEGMENT_AGE_S, is_old, is_over
from policies.auditing.segment_records import OPENED, SEALED, Details, Opened, opened_details, sealed_details

MAX_COMMIT_RECORDS = 512
"""Bounds what can lie beyond the head after a crash; at 500 bytes a record this is 256 KiB a commit."""
HEAD_EVERY_RECORDS = 512
"""How many acknowledged records the head of a busy log may lag behind; half a second at 500 requests a second."""
MAX_BEYOND_HEAD = HEAD_EVERY_RECORDS + MAX_COMMIT_RECORDS + 1
"""Those, a commit's records, and the `segment.opened` before them."""
LINK_BYTES = 128
"""What a chained line has more than its record, at most."""
Describe = Callable[[str, Details], bytes]


class ChainEnd(Struct, frozen=True, kw_only=True):
    """Where a stored chain ends: the seq to come, the last hash, the tree over all lines, and its last segment.

    `segment` is the one to go on in, with its size and when it was opened (Unix seconds); empty: the next line begins
    a new one. `closed` is the last segment that nothing is added to, with the SHA-256 of its plain form.
    """

    next_seq: int = 0
    prev: str = GENESIS
    tree: CompactRange = EMPTY
    segment: str = ""
    segment_bytes: int = 0
    opened_s: float = 0.0
    closed: str = ""
    closed_sha256: str = ""


class _Segment:
    """The segment being appended to; `good_bytes` are synced and end with a whole line, `digest` is their SHA-256."""

    def __init__(self, path: Path, descriptor: int, *, opened_s: float, named: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        self.opened_s = opened_s
        self.first_seq = int(path.stem)
        self.good_bytes = 0
        self.digest = hashlib.sha256()
        self.named = named
        """Whether the folder was synced since the file was made."""

    def took(self, lines: bytes) -> None:
        """These are synced too."""
        self.good_bytes += len(lines)
        self.digest.update(lines)


class ChainWriter:
    """Appends records to the chain in `folder`. Not thread-safe: one caller at a time.

    `describe` makes an encoded record of an event of the log's own files. Each commit replaces the head until it may
    lag.
    """

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        segment_bytes: int,
        end: ChainEnd,
        describe: Describe = lambda event, details: encode_entry({"event": event, "details": details}),
        segment_age_s: float = SEGMENT_AGE_S,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._segment_age_s = segment_age_s
        self._describe = describe
        self._end = end
        self._segment: _Segment | None = None
        self._dead: _Segment | None = None
        self._head_every = 1
        self._head_seq = end.next_seq - 1
        self._head_owed = False
        """Whether replacing it failed, or a dead segment ended here: then nothing is acknowledged before it is done."""
        self.stored = 0
        """How many commits' records are lasting, whether or not their head is."""
        self._last_segment = end.segment or end.closed or segment_name(0)
        if end.segment:
            self._segment = self._reopened(folder / end.segment, end)

    @property
    def last_seq(self) -> int:
        """The seq of the last lasting line, -1 when there is none."""
        return self._end.next_seq - 1

    @property
    def tree(self) -> CompactRange:
        """The tree over all lasting lines."""
        return self._end.tree

    @property
    def closed(self) -> tuple[str, str]:
        """The last segment that nothing is added to any more, and the SHA-256 of its bytes; empty for none."""
        return self._end.closed, self._end.closed_sha256

    @property
    def open_from(self) -> int:
        """No segment from this first seq on is closed. May be asked from any thread."""
        held = [segment.first_seq for segment in (self._segment, self._dead) if segment is not None]
        return min([*held, self._end.next_seq])

    def commit(self, bodies: list[bytes], now_s: float = 0.0) -> None:
        """Chain encoded records, at most `MAX_COMMIT_RECORDS`, and make them lasting. `now_s` is Unix seconds.

        Raises OSError when they are not acknowledged; then the next call tries again from sound ground.
        """
        self._clear_up()
        self._make_room(sum(map(len, bodies)) + LINK_BYTES * len(bodies), now_s)
        if bodies:
            try:
                self._extend(bodies, now_s)
            except OSError:
                self._bury()
                self._extend(bodies, now_s)
            self.stored += 1
        if not bodies or self._head_owed or self.last_seq - self._head_seq >= self._head_every:
            self.write_head()

    def let_head_lag(self) -> None:
        """From now on the head need not name each commit at once; `settle` is called before anybody misses it."""
        self._head_every = HEAD_EVERY_RECORDS

    def seal_old(self, now_s: float) -> bool:
        """End the segment if its day is over; whether it did. Raises OSError as `commit` does."""
        self._clear_up()
        before = self._segment
        self._make_room(0, now_s)
        return before is not None and self._segment is None

    def write_head(self) -> None:
        """Name the last lasting line in the head. Raises OSError."""
        self._head_owed = True
        head = Head(self._end.next_seq - 1, self._end.prev, self._last_segment, self._end.tree.hashes)
        replace_file(self._disk, self._folder / HEAD_NAME, head_bytes(head))
        self._head_seq = head.seq
        self._head_owed = False

    @property
    def is_settled(self) -> bool:
        """Whether the head names the last lasting line. May be asked from any thread."""
        return self._head_seq == self.last_seq and not self._head_owed

    def settle(self) -> None:
        """Let the head catch up. Raises OSError, and is then done before the next commit."""
        if not self.is_settled:
            self.write_head()

    def close(self) -> None:
        """Give the segment's descriptor back; whatever was acknowledged is already lasting."""
        for segment in (self._segment, self._dead):
            if segment is not None:
                self._close(segment)
        self._segment = self._dead = None

    def _clear_up(self) -> None:
        """Finish what an earlier failure left: a dead segment to cut, a head to write."""
        self._bury()
        if self._head_owed:
            self.write_head()

    def _make_room(self, size_bytes: int, now_s: float) -> None:
        """End the segment that is too old, or too full for so much more."""
        segment = self._segment
        if segment is None:
            return
        if is_old(segment.opened_s, now_s, self._segment_age_s) or is_over(
            segment.good_bytes, size_bytes, self._segment_bytes
        ):
            self._seal(segment)

    def _seal(self, segment: _Segment) -> None:
        """The segment's last line. One whose disk does not take it ends without."""
        footer = self._describe(SEALED, sealed_details(segment.first_seq, self._end.tree))
        try:
            self._write(segment, [footer])
        except OSError:
            self._bury()
            return
        self._leave(segment)
        self.write_head()

    def _leave(self, segment: _Segment) -> None:
        """Nothing is added to this segment any more."""
        self._end, self._segment = _closed(self._end, segment), None
        self._close(segment)

    def _extend(self, bodies: list[bytes], now_s: float) -> None:
        """Records into the segment, or into a new one behind its first line."""
        if self._segment is None:
            end = self._end
            opened = Opened(end.next_seq, end.closed, end.closed_sha256, end.tree)
            bodies = [self._describe(OPENED, opened_details(opened)), *bodies]
            self._segment = self._new_segment(now_s)
        self._write(self._segment, bodies)

    def _write(self, segment: _Segment, bodies: Sequence[bytes]) -> None:
        """Records into the segment, synced. After any failure the segment is dead."""
        lines, end = self._link(bodies)
        try:
            write_all(self._disk, segment.descriptor, lines)
            self._disk.sync(segment.descriptor)
            if not segment.named:
                self._disk.sync_folder(self._folder)
        except BaseException:  # a bug or no memory leaves half a line behind just as a disk does
            self._dead = segment  # first, so that it is never neither: see `open_from`
            self._segment = None
            raise
        segment.named = True
        segment.took(lines)
        self._end = end
        self._last_segment = segment.path.name

    def _link(self, bodies: Sequence[bytes]) -> tuple[bytes, ChainEnd]:
        """The records as chained lines, and the end of the chain with them."""
        prev, lines = self._end.prev, []
        for seq, body in enumerate(bodies, self._end.next_seq):
            line = link(body, seq, prev)
            prev = line_hash(line)
            lines.append(line)
        tree = self._end.tree.extended(map(leaf_hash, lines))
        end = structs.replace(self._end, next_seq=self._end.next_seq + len(lines), prev=prev, tree=tree)
        return b"\n".join([*lines, b""]), end

    def _new_segment(self, now_s: float) -> _Segment:
        path = self._folder / segment_name(self._end.next_seq)
        return _Segment(path, self._disk.create(path), opened_s=now_s, named=False)

    def _reopened(self, path: Path, end: ChainEnd) -> _Segment:
        """The segment that a recovered chain goes on in."""
        segment = _Segment(path, self._disk.append(path), opened_s=end.opened_s, named=True)
        segment.took(path.read_bytes())
        return segment

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
        if dead.good_bytes:
            self._end = _closed(self._end, dead)
            self._head_owed = True
        self._close(dead)

    def _close(self, segment: _Segment) -> None:
        """A close that fails loses nothing: the good bytes are synced, the others are cut."""
        with contextlib.suppress(OSError):
            self._disk.close(segment.descriptor)


def _closed(end: ChainEnd, segment: _Segment) -> ChainEnd:
    return structs.replace(end, closed=segment.path.name, closed_sha256=segment.digest.hexdigest())
