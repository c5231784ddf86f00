"""One chain of audit records: how a line is made, and how a stored chain is proven whole.

What it does not do: read or write files (gateway/audit/audit_writer.py, gateway/audit/audit_files.py), or say what a
record holds (policies/audit_record.py).

Rules:
 (1) One record is one line of ASCII JSON, at most 64 KiB with its newline, no newline inside.
 (2) `seq` counts from 0 without a gap; `prev` is the SHA-256 in hex of the line before, its exact bytes
     without the newline. The first line's `prev` is 64 zeros. The exact bytes are hashed, so no canonical
     form of JSON is needed and no second spelling of a record can pass.
 (3) Lines lie in segments named by the first seq they hold: 000000000000.jsonl.
 (4) The head names the last acknowledged line: without it a changed last line or a cut tail would go
     unseen. It carries a checksum of itself, so that a damaged head is told from a damaged line. Since version 2
     it also holds the tree over all lines up to it, so that a start need not read them; version 1 is still read.
 (5) A line that does not fit is blamed on itself or on the line before it; the witness is the line after
     it (or the head): a line that its successor vouches for is sound.
 (6) Whatever does not fit beyond the head was never acknowledged: an unfinished commit, not tampering.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

FORMAT = 1
MAX_LINE_BYTES = 64 * 1024
"""Room for the widest record; a bound lets a reader refuse a file that is one endless line."""
GENESIS = "0" * 64
"""`prev` of the first line, and the head's hash of an empty chain."""
RESERVED_KEYS = frozenset({"v", "seq", "prev"})


class RecordTooLong(ValueError):
    """The record does not fit into one line of `MAX_LINE_BYTES`."""


_SEGMENT_NAME = re.compile(r"[0-9]{12}\.jsonl\Z")


class HeadBroken(ValueError):
    """The head is not one that Corral wrote."""


class Position(Struct, frozen=True):
    """Where a chain goes on: the next line's seq and its `prev` (None: not known, taken on trust)."""

    seq: int = 0
    prev: str | None = GENESIS


class Head(Struct, frozen=True):
    """The last acknowledged line: its seq (-1: none yet), its hash, and the segment it lies in.

    `tree` is the tree over all lines up to it, as the hashes of policies/auditing/merkle.py's compact range of `seq` +
    1 leaves; None in a head of version 1.
    """

    seq: int
    hash: str
    segment: str
    tree: tuple[bytes, ...] | None = None


class StoredLine(Struct, frozen=True):
    """A line as read: its segment's name, its number there from 1, where it begins, its bytes with newline."""

    segment: str
    number: int
    offset_bytes: int
    data: bytes


class Fault(Struct, frozen=True):
    """What is wrong and where. `number` and `offset_bytes` are 0 when the whole segment is missing."""

    segment: str
    number: int
    offset_bytes: int
    seq: int
    text: str


class Verdict(Struct, frozen=True, kw_only=True):
    """What a walk over a chain found.

    `fault` None means whole. `unfinished` is the place beyond the head from which nothing fits.
    `records` and `stages` count sound lines, `beyond_head` those of them that the head does not name yet.
    """

    records: int
    last_seq: int
    last_hash: str
    stages: dict[str, int]
    beyond_head: int = 0
    fault: Fault | None = None
    unfinished: Fault | None = None


def line_hash(line: bytes) -> str:
    """SHA-256 in hex of a line's exact bytes, without its newline."""
    return hashlib.sha256(line).hexdigest()


def segment_name(first_seq: int) -> str:
    """The file name of the segment that begins with `first_seq`; names sort as their seqs do."""
    return f"{first_seq:012d}.jsonl"


def encode_entry(entry: Mapping[str, Any]) -> bytes:
    """A record as ASCII JSON, ready for `link`. Raises ValueError or TypeError for what is no record."""
    if not entry or RESERVED_KEYS & entry.keys():
        raise ValueError("a record needs fields, and v, seq and prev are the chain's own")
    body = json.dumps(entry, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(body) + 256 > MAX_LINE_BYTES:  # 256: room for v, seq, prev and the newline
        raise RecordTooLong(f"a record of {len(body)} bytes is longer than one line may be")
    return body


def link(body: bytes, seq: int, prev: str) -> bytes:
    """The line for an encoded record at `seq`, after the line whose hash is `prev`; without newline."""
    return b'{"v":%d,"seq":%d,%s,"prev":"%s"}' % (FORMAT, seq, body[1:-1], prev.encode("ascii"))


def head_bytes(head: Head) -> bytes:
    """The head file: one line of JSON whose `check` is the SHA-256 of all that stands before it."""
    fields = b'{"v":%d,"seq":%d,"hash":"%s","segment":"%s",' % (
        1 if head.tree is None else 2,
        head.seq,
        head.hash.encode("ascii"),
        head.segment.encode("ascii"),
    )
    if head.tree is not None:
        hashes = ",".join(f'"{each.hex()}"' for each in head.tree).encode("ascii")
        fields += b'"size":%d,"tree":[%s],' % (head.seq + 1, hashes)
    return fields + b'"check":"%s"}\n' % line_hash(fields).encode("ascii")


def read_head(data: bytes) -> Head:
    """The head in `data`. Raises HeadBroken unless it is byte for byte what `head_bytes` writes."""
    try:
        head = _decode_head(data)
        same = head_bytes(head) == data and _SEGMENT_NAME.match(head.segment) is not None
        same = same and (head.tree is None or len(head.tree) == (head.seq + 1).bit_count())
    except (msgspec.DecodeError, ValueError):  # among them bytes that are no text, and digits that are no hex
        same = False
    if not same:
        raise HeadBroken("the head was changed: its checksum does not fit its content")
    return head


class _HeadFields(Struct):
    """A head as it stands in its file."""

    seq: int
    hash: str
    segment: str
    tree: tuple[str, ...] | None = None


def _decode_head(data: bytes) -> Head:
    read = msgspec.json.decode(data, type=_HeadFields)
    tree = None if read.tree is None else tuple(map(bytes.fromhex, read.tree))
    return Head(read.seq, read.hash, read.segment, tree)


def verify_lines(
    lines: Iterable[StoredLine],
    head: Head,
    start: Position | None = None,
    left_off: Callable[[], bool] = lambda: False,
) -> Verdict:
    """Walk a chain from `start` (default: its first line) and judge it by the rules at the head of the module.

    `left_off` is asked at the end of the lines: whether there are more, which the caller did not want to read.
    """
    walk = _Walk(head, start or Position())
    for line in lines:
        fault = walk.take(line)
        if fault:
            return walk.verdict(fault)
    return walk.verdict(walk.end(left_off=left_off()))


class _Claims(Struct):
    """What a line says of itself; the rest of it is not read here."""

    seq: int
    prev: str
    stage: str = ""


class _Sound(Struct, frozen=True):
    """A line read and found to be the next one by its seq; whether its `prev` fits is judged after."""

    line: StoredLine
    claims: _Claims
    hash: str


class _Walk:
    """The state of one pass. A line whose `prev` does not fit stays doubtful until a witness is heard.

    `_recent` holds the last three lines: the doubtful one, the one before it, and the sound one before both.
    """

    def __init__(self, head: Head, start: Position) -> None:
        self._head = head
        self._next = start
        self._recent: list[_Sound] = []
        self._doubtful = False
        self._first_seq = start.seq
        self._stages: dict[str, int] = {}

    def take(self, line: StoredLine) -> Fault | None:
        """Judge one more line; the fault found, if any, ends the walk."""
        try:
            sound = _read_line(line, self._next.seq)
        except ValueError as wrong:
            return self._resolve(None) or _fault(line, self._next.seq, str(wrong))
        fault = self._resolve(sound.claims.prev)
        if fault:
            return fault
        self._doubtful = self._next.prev is not None and sound.claims.prev != self._next.prev
        self._recent = [*self._recent[-2:], sound]
        self._next = Position(sound.claims.seq + 1, sound.hash)
        self._count(sound, 1)
        return self._hear_head() if sound.claims.seq == self._head.seq else None

    def _hear_head(self) -> Fault | None:
        """The head is the witness of the line it names."""
        last = self._recent[-1]
        fault = self._resolve(self._head.hash)
        if fault:
            return fault
        if last.hash != self._head.hash:
            return _fault(last.line, last.claims.seq, "the line was changed: its hash is not the one in the head")
        if last.line.segment != self._head.segment:
            return _fault(last.line, last.claims.seq, "the head names another segment for this line")
        return None

    def _resolve(self, witness: str | None) -> Fault | None:
        """Settle a doubtful line by what its successor says of it (None: it has no sound successor).

        Without a witness beyond the head both lines are in doubt, so the unfinished part begins at the first.
        """
        if not self._doubtful:
            return None
        last = self._recent[-1]
        changed = self._recent[-2] if len(self._recent) > 1 else last
        sound = witness == last.hash or (witness is None and changed.claims.seq > self._head.seq)
        if sound and changed.claims.seq != self._head.seq:
            return _fault(changed.line, changed.claims.seq, "the line was changed: the next one's prev is not its hash")
        return _fault(last.line, last.claims.seq, "the line was changed: its prev is not the hash of the line before")

    def end(self, *, left_off: bool) -> Fault | None:
        """After the last line: a doubt left open, or lines the head names and nobody found."""
        fault = self._resolve(None)
        if fault or left_off or self._next.seq > self._head.seq:
            return fault
        text = f"the tail was cut: the head names seq {self._head.seq}, the lines end before seq {self._next.seq}"
        if not self._recent:
            return Fault(self._head.segment, 0, 0, self._next.seq, text)
        line = self._recent[-1].line
        return Fault(line.segment, line.number + 1, line.offset_bytes + len(line.data), self._next.seq, text)

    def verdict(self, fault: Fault | None) -> Verdict:
        """What was found, lines from the fault on left out of the counts."""
        while fault and self._recent and self._recent[-1].claims.seq >= fault.seq:
            self._count(self._recent.pop(), -1)
        last = self._recent[-1] if self._recent else None
        last_seq = last.claims.seq if last else self._first_seq - 1
        tampered = fault is not None and fault.seq <= self._head.seq
        return Verdict(
            records=last_seq + 1 - self._first_seq,
            last_seq=last_seq,
            last_hash=last.hash if last else GENESIS,
            stages={stage: count for stage, count in self._stages.items() if count},
            beyond_head=max(0, last_seq - max(self._head.seq, self._first_seq - 1)),
            fault=fault if tampered else None,
            unfinished=None if tampered else fault,
        )

    def _count(self, sound: _Sound, change: int) -> None:
        stage = sound.claims.stage
        self._stages[stage] = self._stages.get(stage, 0) + change


def _read_line(line: StoredLine, seq: int) -> _Sound:
    """The line as the one with `seq`. Raises ValueError saying why it is not."""
    if not line.data.endswith(b"\n"):
        raise ValueError("the line does not end: it was cut, or is longer than 64 KiB")
    if line.number == 1 and line.segment != segment_name(seq):
        raise ValueError(f"a segment is missing or misnamed: expected {segment_name(seq)}")
    data = line.data[:-1]
    try:
        claims = msgspec.json.decode(data, type=_Claims)
    except (msgspec.DecodeError, UnicodeError):
        raise ValueError("the line is not a record") from None
    if claims.seq != seq:
        raise ValueError(f"expected seq {seq}, found {claims.seq}: lines were changed, removed or moved")
    return _Sound(line, claims, line_hash(data))


def _fault(line: StoredLine, seq: int, text: str) -> Fault:
    return Fault(line.segment, line.number, line.offset_bytes, seq, text)
