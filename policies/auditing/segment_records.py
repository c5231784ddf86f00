"""What the log says of its own files: where a segment begins and ends, and which were pruned.

Decides nothing about when (policies/auditing/segment_life.py). These are ordinary records of the chain, so whoever
proves the chain has proven them.

Rules:
 (1) `segment.opened` is a segment's first line: its first seq (its own), the name and SHA-256 of the segment before
     (its plain form; both empty for the first), and the tree over all lines before it. From there a reader can go on
     without the segments before, and prove that he did.
 (2) `segment.sealed` is a segment's last line: how many lines it has with this one, and the root of the tree over all
     lines before this one. A segment that a failing disk cut short has none; the next one's first line vouches for it.
 (3) `audit.pruned` stands in a later segment for every one that was removed: its first and last seq, and the tree and
     the hash of the last line at its end, from which the rest of the chain is proven.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from policies.auditing.merkle import CompactRange

OPENED = "segment.opened"
SEALED = "segment.sealed"
PRUNED = "audit.pruned"
Details = Mapping[str, str | int | list[str]]


class Opened(Struct, frozen=True):
    """Rule (1). `tree` None: not told."""

    first_seq: int
    prev_segment: str
    prev_segment_sha256: str
    tree: CompactRange | None = None


class Pruned(Struct, frozen=True):
    """Rule (3): the lines from `first_seq` to `last_seq` are gone; what is needed to go on after them."""

    first_seq: int
    last_seq: int
    last_hash: str
    tree: CompactRange


def opened_details(opened: Opened) -> Details:
    """As the record tells it."""
    told = {} if opened.tree is None else {"tree": _hex(opened.tree)}
    return {
        "first_seq": opened.first_seq,
        "prev_segment": opened.prev_segment,
        "prev_segment_sha256": opened.prev_segment_sha256,
        **told,
    }


def sealed_details(first_seq: int, tree: CompactRange) -> Details:
    """As the record tells it; `tree` is over all lines before it, so its size is this record's seq."""
    return {"first_seq": first_seq, "count": tree.size + 1 - first_seq, "root": tree.root().hex()}


def pruned_details(pruned: Pruned) -> Details:
    """As the record tells it."""
    return {
        "first_seq": pruned.first_seq,
        "last_seq": pruned.last_seq,
        "root": pruned.tree.root().hex(),
        "last_hash": pruned.last_hash,
        "tree": _hex(pruned.tree),
    }


class _Told(Struct):
    first_seq: int = 0
    last_seq: int = -1
    last_hash: str = ""
    prev_segment: str = ""
    prev_segment_sha256: str = ""
    root: str = ""
    tree: tuple[str, ...] | None = None


class _Line(Struct):
    event: str = ""
    details: msgspec.Raw = msgspec.Raw(b"{}")


def event_of(line: bytes) -> str:
    """The event that a line says it is; empty for what is no record."""
    try:
        return msgspec.json.decode(line, type=_Line).event
    except (msgspec.DecodeError, UnicodeError):
        return ""


class _Dated(Struct):
    ts: datetime


def recorded_s(line: bytes) -> float | None:
    """When a line was recorded, in Unix seconds; None for what is no record."""
    try:
        return msgspec.json.decode(line, type=_Dated).ts.timestamp()
    except (msgspec.DecodeError, UnicodeError):
        return None


def read_opened(line: bytes) -> Opened | None:
    """The beginning of a segment that the line tells of; None for any other line. It is not proven here."""
    told = _told(line, OPENED)
    if told is None:
        return None
    tree = _tree(told.first_seq, told.tree)
    return Opened(told.first_seq, told.prev_segment, told.prev_segment_sha256, tree)


def read_pruned(line: bytes) -> Pruned | None:
    """The pruning that the line tells of; None for any other, or one that contradicts itself. Not proven here."""
    told = _told(line, PRUNED)
    if told is None:
        return None
    tree = _tree(told.last_seq + 1, told.tree)
    if tree is None or tree.root().hex() != told.root:
        return None
    return Pruned(told.first_seq, told.last_seq, told.last_hash, tree)


def _told(line: bytes, event: str) -> _Told | None:
    if event.encode("ascii") not in line:  # most lines by far, and much cheaper to see
        return None
    try:
        read = msgspec.json.decode(line, type=_Line)
        return msgspec.json.decode(read.details, type=_Told) if read.event == event else None
    except (msgspec.DecodeError, UnicodeError):
        return None


def _tree(size: int, hashes: tuple[str, ...] | None) -> CompactRange | None:
    """The tree, if it is one."""
    try:
        tree = CompactRange(size, tuple(map(bytes.fromhex, hashes or ())))
    except ValueError:
        return None
    return tree if hashes is not None and tree.is_sound() else None


def _hex(tree: CompactRange) -> list[str]:
    return [each.hex() for each in tree.hashes]


def as_entry(record: Mapping[str, Any], details: Details) -> dict[str, Any]:
    """`record` with `details` as they are: the hashes of a tree are a list, longer than a text in a record may be."""
    return {**record, "details": dict(details)}
