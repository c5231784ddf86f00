"""Opens a stored chain for writing: finds its end, whatever the last gateway died of.

The head names the last acknowledged line, so up to there the chain must be whole, else it is damaged
and is left untouched as evidence. Beyond it lies at most one commit: its sound lines are kept, the
rest (a torn line, what a power cut left) is moved to a `.torn` file. Only the segments from the head's
own on are read, so a start takes as long with a large log as with a small one; `corral audit verify` reads
them all.
"""

from pathlib import Path

from msgspec import Struct

from gateway.audit.audit_disk import Disk, write_all
from gateway.audit.audit_files import HEAD_NAME, HeadMissing, read_head_file, segment_paths, stored_lines
from gateway.audit.audit_writer import MAX_COMMIT_RECORDS, ChainEnd
from policies.audit_chain import (
    GENESIS,
    Fault,
    Head,
    HeadBroken,
    Position,
    Verdict,
    head_bytes,
    segment_name,
    verify_lines,
)


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
    paths = segment_paths(folder)
    if not paths and not (folder / HEAD_NAME).exists():
        return Recovered(end=ChainEnd())
    head = _read_head(folder)
    paths = [path for path in paths if path.name >= head.segment]
    verdict = _judge(folder, paths, head)
    torn_bytes, torn_name = _cut_tail(folder, paths, verdict, disk)
    end = _chain_end([path for path in paths if path.exists()], verdict)
    _sync(folder, end, disk)
    return Recovered(end=end, torn_bytes=torn_bytes, torn_name=torn_name, beyond_head=verdict.beyond_head)


def first_head() -> bytes:
    """The head of a chain that has no line yet."""
    return head_bytes(Head(-1, GENESIS, segment_name(0)))


def _read_head(folder: Path) -> Head:
    try:
        return read_head_file(folder)
    except (HeadBroken, HeadMissing) as fault:
        raise _damaged(folder, str(fault)) from None


def _judge(folder: Path, paths: list[Path], head: Head) -> Verdict:
    """The verdict on the chain from the head's own segment on. Raises ChainDamaged when it is not whole up to there."""
    first_seq = int(head.segment.partition(".")[0])
    start = Position(first_seq, None if first_seq else GENESIS)
    verdict = verify_lines(stored_lines(paths), head, start)
    if verdict.fault:
        fault = verdict.fault
        raise _damaged(folder, f"{fault.segment} line {fault.number} (seq {fault.seq}): {fault.text}")
    if verdict.beyond_head > MAX_COMMIT_RECORDS:
        raise _damaged(folder, f"{verdict.beyond_head} records lie beyond the head: an older head was put back")
    return verdict


def _damaged(folder: Path, text: str) -> ChainDamaged:
    return ChainDamaged(
        f"the audit chain {folder} is damaged: {text}: keep it as evidence under another name outside "
        f"{folder.parent}, then start again; a new chain begins"
    )


def _cut_tail(folder: Path, paths: list[Path], verdict: Verdict, disk: Disk) -> tuple[int, str]:
    """Move what does not fit beyond the head to a `.torn` file; its bytes and name. Raises OSError."""
    tails = _tails(paths, verdict.unfinished)
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


def _chain_end(paths: list[Path], verdict: Verdict) -> ChainEnd:
    segment = paths[-1] if paths else None
    return ChainEnd(
        next_seq=verdict.last_seq + 1,
        prev=verdict.last_hash,
        segment=segment.name if segment else "",
        segment_bytes=segment.stat().st_size if segment else 0,
    )


def _sync(folder: Path, end: ChainEnd, disk: Disk) -> None:
    """Lines beyond the head were perhaps never synced; nothing goes on from them before they are."""
    if end.segment:
        descriptor = disk.append(folder / end.segment)
        try:
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)
        disk.sync_folder(folder)
