"""Reads a stored chain: its segments, its lines, its head; and judges it with `policies.audit_chain`.

Works beside a running gateway: the head is read first, so the lines are never older than it.
"""

from collections.abc import Iterator
from pathlib import Path

from policies.audit_chain import MAX_LINE_BYTES, Head, StoredLine, Verdict, read_head, verify_lines

HEAD_NAME = "head"
MAX_HEAD_BYTES = 4096
PATIENCE = 3
"""How often a chain is read again because its head moved on while it was read."""


class HeadMissing(Exception):
    """There are segments and no head: it was removed, for a head is made before the first segment."""


def segment_paths(folder: Path) -> list[Path]:
    """The chain's segments in the order of their seqs. Raises OSError."""
    return sorted(path for path in folder.iterdir() if path.suffix == ".jsonl" and path.is_file())


def is_chain(folder: Path) -> bool:
    """Whether `folder` holds a chain: a head or a segment. Raises OSError."""
    return (folder / HEAD_NAME).exists() or any(folder.glob("*.jsonl"))


def read_head_file(folder: Path) -> Head:
    """The chain's head. Raises HeadBroken, HeadMissing, OSError."""
    try:
        with (folder / HEAD_NAME).open("rb") as file:
            return read_head(file.read(MAX_HEAD_BYTES))
    except FileNotFoundError:
        raise HeadMissing("the head is missing") from None


def stored_lines(paths: list[Path]) -> Iterator[StoredLine]:
    """The lines of segments, one after the other; at most 64 KiB of a line are held. Raises OSError."""
    for path in paths:
        offset_bytes = 0
        with path.open("rb") as file:
            for number, data in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                yield StoredLine(path.name, number, offset_bytes, data)
                offset_bytes += len(data)


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
