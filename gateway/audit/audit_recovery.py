"""Opens a stored chain for writing: finds its end, whatever the last gateway died of.

The head names the last acknowledged line, so up to there the chain must be whole, else it is damaged
and is left untouched as evidence. Beyond it lies at most one commit: its sound lines are kept, the
rest (a torn line, what a power cut left) is moved to a `.torn` file. Only the segments from the head's
own on are read, so a start takes as long with a large log as with a small one; `corral audit verify` reads
them all. Once, after the version that made heads without a tree, they are all read to make it.
"""

import hashlib
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from msgspec import Struct, structs

from gateway.audit.audit_disk import Disk, write_all
from gateway.audit.audit_files import (
    HEAD_NAME,
    HeadMissing,
    Segment,
    open_segment,
    read_head_file,
    read_lines,
    segments,
)
from gateway.audit.audit_writer import MAX_BEYOND_HEAD, ChainEnd
from policies.audit_chain import (
    GENESIS,
    Fault,
    Head,
    HeadBroken,
    Position,
    StoredLine,
    Verdict,
    head_bytes,
    segment_name,
    verify_lines,
)
from policies.auditing.merkle import EMPTY, CompactRange, leaf_hash
from policies.auditing.segment_records import SEALED, event_of, recorded_s


class ChainDamaged(Exception):
    """The stored chain is not whole up to its head; the message is one line with the remedy."""


class Recovered(Struct, frozen=True, kw_only=True):
    """The chain's end, and what the last stop left: bytes moved to `torn_name`, sound lines beyond the head."""

    end: ChainEnd
    torn_bytes: int = 0
    torn_name: str = ""
    beyond_head: int = 0

    @property
    def unclean(self) -> bool:
        return bool(self.torn_bytes or self.beyond_head)


def recover(folder: Path, disk: Disk) -> Recovered:
    """The chain in `folder`, made fit to go on. Raises ChainDamaged, OSError."""
    stored = segments(folder)
    if not stored and not (folder / HEAD_NAME).exists():
        return Recovered(end=ChainEnd())
    head = _read_head(folder)
    unproven = [segment for segment in stored if segment.name >= head.segment]
    verdict = _judge(folder, unproven, head)
    torn_bytes, torn_name = _cut_tail(folder, unproven, verdict, disk)
    end = _chain_end(segments(folder), head, verdict)
    _sync(folder, end, disk)
    return Recovered(end=end, torn_bytes=torn_bytes, torn_name=torn_name, beyond_head=verdict.beyond_head)


def first_head() -> bytes:
    """The head of a chain that has no line yet."""
    return head_bytes(Head(-1, GENESIS, segment_name(0), ()))


def _read_head(folder: Path) -> Head:
    try:
        return read_head_file(folder)
    except (HeadBroken, HeadMissing) as fault:
        raise _damaged(folder, str(fault)) from None


def _judge(folder: Path, stored: list[Segment], head: Head) -> Verdict:
    """The verdict on the chain from the head's own segment on. Raises ChainDamaged when it is not whole up to there."""
    first_seq = int(head.segment.partition(".")[0])
    start = Position(first_seq, None if first_seq else GENESIS)
    verdict = verify_lines(_lines(stored), head, start)
    if verdict.fault:
        fault = verdict.fault
        raise _damaged(folder, f"{fault.segment} line {fault.number} (seq {fault.seq}): {fault.text}")
    if verdict.beyond_head > MAX_BEYOND_HEAD:
        raise _damaged(folder, f"{verdict.beyond_head} records lie beyond the head: an older head was put back")
    closed = max((segment.name for segment in stored if segment.compressed), default="")
    if verdict.unfinished and verdict.unfinished.segment <= closed:
        raise _damaged(folder, f"{closed} was compressed, and is not whole: an older head was put back")
    return verdict


def _lines(stored: list[Segment]) -> Iterator[StoredLine]:
    for segment in stored:
        yield from read_lines(segment)


def _damaged(folder: Path, text: str) -> ChainDamaged:
    return ChainDamaged(
        f"the audit chain {folder} is damaged: {text}: keep {folder.parent} as evidence under another name, "
        "then start again; a new log begins"
    )


def _cut_tail(folder: Path, stored: list[Segment], verdict: Verdict, disk: Disk) -> tuple[int, str]:
    """Move what does not fit beyond the head to a `.torn` file; its bytes and name. Raises OSError."""
    tails = _tails([segment.path for segment in stored if not segment.compressed], verdict.unfinished)
    torn = b"".join(data for _, _, data in tails)
    name = _keep(folder, verdict.last_seq + 1, torn, disk) if torn else ""
    for path, keep_bytes, _ in reversed(tails):  # from the end, so that a stop in between leaves a prefix
        if keep_bytes:
            disk.truncate(path, keep_bytes)
        else:
            disk.remove(path)
    if tails:
        disk.sync_folder(folder)
    return len(torn), name


def _tails(paths: list[Path], unfinished: Fault | None) -> list[tuple[Path, int, bytes]]:
    """Of each segment to cut: how many bytes stay, and the bytes that go. Empty segments go too."""
    tails = []
    for path in paths:
        size_bytes = path.stat().st_size
        keep_bytes = size_bytes
        if unfinished and path.name >= unfinished.segment:
            keep_bytes = unfinished.offset_bytes if path.name == unfinished.segment else 0
        if keep_bytes < size_bytes or not size_bytes:
            tails.append((path, keep_bytes, path.read_bytes()[keep_bytes:]))
    return tails


def _keep(folder: Path, seq: int, torn: bytes, disk: Disk) -> str:
    """Store torn bytes in a file of their own, named by the seq they would have had; its name."""
    number = 0
    while (path := folder / f"{seq:012d}-{number}.torn").exists():
        number += 1
    descriptor = disk.create(path)
    try:
        write_all(disk, descriptor, torn)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    disk.sync_folder(folder)
    return path.name


def _chain_end(stored: list[Segment], head: Head, verdict: Verdict) -> ChainEnd:
    """Where the chain goes on, what does not fit having been cut."""
    end = ChainEnd(next_seq=verdict.last_seq + 1, prev=verdict.last_hash, tree=_tree(stored, head))
    if not stored:
        return end
    segment = stored[-1]
    lines = list(read_lines(segment))
    if segment.compressed or event_of(lines[-1].data) == SEALED or not _is_writable(segment.path):
        return structs.replace(end, closed=segment.name, closed_sha256=_sha256(segment))
    last = lines[-1]
    return structs.replace(
        end,
        segment=segment.name,
        segment_bytes=last.offset_bytes + len(last.data),
        opened_s=recorded_s(lines[0].data) or 0.0,
    )


def _tree(stored: list[Segment], head: Head) -> CompactRange:
    """The tree over all lines: the head's, and what lies beyond it; a head without one is told by reading all."""
    if head.tree is None:
        return EMPTY.extended(leaf_hash(line.data[:-1]) for line in _lines(stored))
    known = CompactRange(head.seq + 1, head.tree)
    unproven = [segment for segment in stored if segment.name >= head.segment]
    skipped = head.seq + 1 - unproven[0].first_seq if unproven else 0
    return known.extended(leaf_hash(line.data[:-1]) for line in islice(_lines(unproven), skipped, None))


def _is_writable(path: Path) -> bool:
    """Whether its mode lets its owner write; for root, who may anyway, the mode tells that the file was closed."""
    return bool(path.stat().st_mode & stat.S_IWUSR)


def _sha256(segment: Segment) -> str:
    """Of its plain form."""
    with open_segment(segment) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path, end: ChainEnd, disk: Disk) -> None:
    """Lines beyond the head were perhaps never synced; nothing goes on from them before they are."""
    path = folder / (end.segment or end.closed or "none")
    if path.exists() and _is_writable(path):  # what is closed to writing was synced before
        descriptor = disk.append(path)
        try:
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)
        disk.sync_folder(folder)
