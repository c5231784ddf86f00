"""Chains of one deployment that look after each other: each takes the others' latest checkpoints in as records.

Decides what is worth a record and what a stored record demands; who reads the folders is gateway/audit/chain_watch.py.
Rules:
 (1) A chain is expected from the moment its verifier key is listed, or a checkpoint of it was seen.
 (2) A checkpoint that is newer than the last one seen is recorded as `chain.seen`: its origin, size, root and the
     signature by its log, so that the record shows by itself what the other chain has signed.
 (3) An expected chain without a good checkpoint, or whose latest is shorter than one that was seen, or has another
     root at the same size, is missed: `chain.missed`, once, until its latest fits again.
 (4) What a chain has recorded of another must stand among the other's own checkpoints. Where it does not, the other
     chain was cut, exchanged or taken away, whatever it says of itself.
"""

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec import Struct

from policies.auditing.checkpoint import Checkpoint
from policies.auditing.merkle import HASH_BYTES

SEEN = "chain.seen"
MISSED = "chain.missed"
Details = dict[str, str | int | float | bool]


class Seen(Struct, frozen=True):
    """A stored `chain.seen`: the checkpoint, and the record that tells of it."""

    checkpoint: Checkpoint
    by: str
    seq: int


class ChainState(Struct, frozen=True):
    """An expected chain as found: its latest good checkpoint with the log's signature, or why there is none."""

    latest: Checkpoint | None
    signature: str = ""
    why: str = ""


class Notice(Struct, frozen=True):
    """A record to be made: the event and its details."""

    event: str
    details: Details


class ChainWatch:
    """What one gateway knows of the others. `look` once a minute."""

    def __init__(self) -> None:
        self._known: dict[str, Checkpoint] = {}
        self._missed: set[str] = set()

    @property
    def expected(self) -> frozenset[str]:
        """The origins of rule (1) that were seen."""
        return frozenset(self._known)

    def look(self, found: Mapping[str, ChainState]) -> list[Notice]:
        """What is to be recorded of the expected chains, by origin."""
        return [notice for origin, state in sorted(found.items()) if (notice := self._judge(origin, state))]

    def _judge(self, origin: str, state: ChainState) -> Notice | None:
        known, latest = self._known.get(origin), state.latest
        fault = _fault(known, state)
        if latest is None or fault:
            if origin in self._missed:
                return None
            self._missed.add(origin)
            return Notice(MISSED, {"origin": origin, "why": fault, "last_size": known.size if known else 0})
        self._missed.discard(origin)
        if latest == known:
            return None
        self._known[origin] = latest
        return Notice(SEEN, seen_details(latest, state.signature))


def seen_details(checkpoint: Checkpoint, signature: str) -> Details:
    """As a record tells it; `signature` is the base64 of the note's line."""
    root = base64.b64encode(checkpoint.root).decode()
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": root, "signature": signature}


def read_seen(line: bytes, by: str, seq: int) -> Seen | None:
    """The checkpoint that a stored line tells of; None for any other line, or one that tells it wrongly."""
    try:
        read = msgspec.json.decode(line, type=_Line)
        root = base64.b64decode(read.details.root, validate=True)
    except (msgspec.DecodeError, UnicodeError, binascii.Error, ValueError):
        return None
    if read.event != SEEN or not read.details.origin or len(root) != HASH_BYTES:
        return None
    return Seen(Checkpoint(read.details.origin, read.details.size, root), by, seq)


def unkept(seen: Iterable[Seen], kept: Collection[Checkpoint]) -> list[Seen]:
    """Rule (4): of each chain the first record that what is there does not bear out."""
    found: dict[str, Seen] = {}
    for each in seen:
        if each.checkpoint not in kept:
            found.setdefault(each.checkpoint.origin, each)
    return list(found.values())


class _Told(Struct, frozen=True):
    origin: str = ""
    size: int = 0
    root: str = ""


class _Line(Struct):
    event: str = ""
    details: _Told = _Told()


def _fault(known: Checkpoint | None, state: ChainState) -> str:
    """Why the chain is missed, by rule (3); empty when it is not."""
    latest = state.latest
    if latest is None:
        return state.why
    if known is not None and latest.size < known.size:
        return "shorter"
    if known is not None and latest.size == known.size and latest.root != known.root:
        return "another_root"
    return ""
