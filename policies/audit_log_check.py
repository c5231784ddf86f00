"""A chain's lines held against what was signed and said of them: checkpoints, anchors, and the records about segments.

Takes the lines as they pass on their way to `policies.audit_chain.verify_lines`, which proves that they follow each
other and end at the head; both findings together are the verdict. Holds one compact range, whatever the length.

Rules:
 (1) The tree over the first n lines has the root of every checkpoint of size n. One of a size the lines do not reach
     means that the tail was cut; one of a size before the first line is left (those lines were pruned).
 (2) Between two checkpoints of the chain, and behind the last, lie at most `MAX_GAP` lines: where there are more, a
     checkpoint was taken away (gateway/audit/checkpointer.py makes one at half of that).
 (3) `segment.opened` tells its own seq, the segment before and that one's SHA-256, and the tree up to there;
     `segment.sealed` how many lines the segment has and the root before it, and nothing follows it in its segment.
 (4) Lines that do not begin at seq 0 are a gap. It is one by policy if the first line is a `segment.opened`, and an
     `audit.pruned` that stands below the last checkpoint tells exactly that line's `prev` and tree. Any other gap is
     tampering. A reader who begins later on purpose (`partial`) is asked for the first half only.
 (5) What lies behind the last checkpoint is chained and not proven: whoever can write the files could have made it.
 (6) Where the key of the chain's checkpoints changes, an `audit_key.rotated` that leads to the new key stands at or
     behind the last checkpoint of the old one and before the first of the new one, unless it was pruned, or lies
     before or behind what was asked for.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

import msgspec
from msgspec import Struct

from policies.audit_chain import Fault, Position, StoredLine
from policies.auditing.chain_seen import SEEN, Seen, read_seen
from policies.auditing.checkpoint import Checkpoint
from policies.auditing.checkpoint_trail import Turn
from policies.auditing.key_change import ROTATED, KeyChange, read_rotated
from policies.auditing.merkle import EMPTY, MAX_SIZE, CompactRange, GrowingTree, leaf_hash
from policies.auditing.segment_records import OPENED, PRUNED, SEALED, Pruned, read_opened, read_pruned

MAX_GAP = 2000
_TOLD = re.compile(rb'"event":"(?:segment\.opened|segment\.sealed|audit\.pruned|chain\.seen|audit_key\.rotated)"')


class Promise(Struct, frozen=True):
    """A root that the first `size` lines must have, and who says so."""

    size: int
    root: bytes
    said_by: str


class LogFindings(Struct, frozen=True, kw_only=True):
    """`proven` lines from the start have a signed root; `fault` is the first thing that does not fit.

    `first_seq` is where the lines begin, `pruned` the record that says why that is not 0.
    """

    first_seq: int = 0
    size: int = 0
    proven: int = 0
    fault: Fault | None = None
    pruned: Pruned | None = None
    seen: tuple[Seen, ...] = ()


class Beginning(Struct, frozen=True):
    """From where a chain is read: the first line's place in chain and tree."""

    position: Position = Position()
    tree: CompactRange = EMPTY


def beginning(first_line: StoredLine | None) -> Beginning | None:
    """Where the chain begins whose first stored line this is; None when it is not the first and does not tell."""
    if first_line is None or first_line.segment.startswith("000000000000."):
        return Beginning()
    opened = read_opened(first_line.data)
    if opened is None or opened.tree is None or first_line.segment != f"{opened.first_seq:012d}.jsonl":
        return None
    return Beginning(Position(opened.first_seq, None), opened.tree)


class Scope(Struct, frozen=True):
    """What is to be judged: the chain's name, from where, and to which seq at least.

    `partial`: the reader began behind the chain's first line on purpose.
    """

    chain: str
    begin: Beginning = Beginning()
    to_seq: int = MAX_SIZE
    partial: bool = False


class LogCheck:
    """One pass over one chain. `watch` the lines, then ask for the `findings`."""

    def __init__(
        self,
        scope: Scope,
        own: Sequence[Checkpoint],
        anchors: Iterable[Promise] = (),
        turns: Sequence[Turn] = (),
    ) -> None:
        """`own` are the chain's own checkpoints, signatures verified, sizes growing; `anchors` what others kept.

        `turns` are where the key of the own ones changes.
        """
        self._scope = scope
        self._turns = turns
        self._rotated: list[tuple[int, KeyChange]] = []
        self._own = own
        self._promises: list[Checkpoint | Promise] = sorted([*own, *anchors], key=lambda each: each.size)
        self._next = 0
        self._tree = GrowingTree(scope.begin.tree)
        self._proven = 0
        self._fault: Fault | None = None
        self._last: StoredLine | None = None
        self._first_prev = ""
        self._segment_first = scope.begin.tree.size
        self._sealed_at = 0
        self._before: tuple[str, str] | None = None
        self._digest = hashlib.sha256()
        self._pruned: list[tuple[int, Pruned]] = []
        self._seen: list[Seen] = []
        self.stopped = False
        """Whether the lines went on behind what was asked for."""
        self._keep_promises()

    def watch(self, lines: Iterable[StoredLine]) -> Iterator[StoredLine]:
        """The same lines, looked at; no more of them once all that was asked for is proven."""
        growing = self._tree
        coming = self._coming()
        for line in lines:
            if self._proven > self._scope.to_seq:
                self.stopped = True
                return
            yield line  # what the walk over the chain stops at is no line of the log
            data = line.data[:-1]
            if line.number == 1 or _TOLD.search(data):
                self._listen(line, data)
            self._last = line
            self._digest.update(line.data)
            growing.append(leaf_hash(data))
            if growing.size == coming:
                self._keep_promises()
                coming = self._coming()

    def findings(self) -> LogFindings:
        """What was found, once the lines have passed."""
        pruned = self._settle()
        return LogFindings(
            first_seq=self._scope.begin.tree.size,
            size=self._tree.size,
            proven=self._proven,
            fault=self._fault,
            pruned=pruned,
            seen=tuple(self._seen),
        )

    # ---- promises

    def _coming(self) -> int:
        """The size of the next promise; -1 when there is none left."""
        return self._promises[self._next].size if self._next < len(self._promises) else -1

    def _keep_promises(self) -> None:
        """Rule (1), for all promises up to the tree's size."""
        size, root = self._tree.size, self._tree.root()
        while self._next < len(self._promises) and self._promises[self._next].size <= size:
            promise = self._promises[self._next]
            self._next += 1
            if promise.size == size and promise.root == root:
                self._proven = size
            elif promise.size == size:
                text = f"the lines from seq {self._proven} to {size - 1} are not those that {_name(promise)} covers"
                self._blame(self._last, size - 1, text)

    def _settle(self) -> Pruned | None:
        """Rules (1), (2) and (4) at the end of the lines; the record of the pruning."""
        if self._coming() >= 0 and not self.stopped:
            promise = self._promises[self._next]
            text = f"the tail was cut: {_name(promise)} covers {promise.size} lines, and there are {self._tree.size}"
            self._blame(self._last, self._tree.size, text)
        self._judge_gaps()
        self._judge_turns()
        begins_late = self._scope.begin.tree.size > 0 and not self._scope.partial
        return self._judge_gap_at_the_beginning() if begins_late else None

    def _judge_gaps(self) -> None:
        size, first = self._tree.size, self._scope.begin.tree.size
        for before, after in pairwise(chain((each.size for each in self._own if each.size >= first), (size,))):
            if min(after, size) - before > MAX_GAP:
                text = f"a checkpoint was taken away: {after - before} lines after that of size {before} have none"
                self._blame(self._last, before, text)

    def _judge_turns(self) -> None:
        """Rule (6)."""
        begin, size = self._scope.begin.tree.size, self._tree.size
        for turn in self._turns:
            told = any(seq in range(turn.before, turn.first) and told.new == turn.key for seq, told in self._rotated)
            if begin <= turn.before and turn.first <= size and not told:
                text = f"the checkpoint of size {turn.first} is under a new key, and no record before it tells of that"
                self._blame(self._last, turn.before, text)

    def _judge_gap_at_the_beginning(self) -> Pruned | None:
        first = self._scope.begin.tree.size
        for seq, pruned in self._pruned:
            tells_so = pruned.tree == self._scope.begin.tree and pruned.last_hash == self._first_prev
            if tells_so and seq < self._proven:
                return pruned
        text = f"the lines before seq {first} are gone, and no proven audit.pruned tells of it"
        self._blame(None, first, text)
        return None

    # ---- records about the log itself

    def _listen(self, line: StoredLine, data: bytes) -> None:
        """Rule (3), and what is kept for later: prunings, other chains' checkpoints."""
        seq = self._tree.size
        told = _read(data)
        if self._last is None:
            self._first_prev = told.prev
        if line.number == 1:
            self._begin_segment(seq)
        if told.event in (OPENED, SEALED):
            self._hold(line, seq, told)
        elif told.event == PRUNED and (pruned := read_pruned(data)) is not None:
            self._pruned.append((seq, pruned))
        elif told.event == SEEN and (seen := read_seen(data, self._scope.chain, seq)) is not None:
            self._seen.append(seen)
        elif told.event == ROTATED and (change := read_rotated(data)) is not None:
            self._rotated.append((seq, change))

    def _begin_segment(self, seq: int) -> None:
        last = self._last
        if last is not None and self._sealed_at not in (0, last.number):
            self._blame(last, seq - 1, "lines stand behind the end of their segment")
        self._before = None if last is None else (last.segment, self._digest.hexdigest())
        self._sealed_at = 0
        self._digest = hashlib.sha256()
        self._segment_first = seq

    def _hold(self, line: StoredLine, seq: int, told: "_Told") -> None:
        """What a segment says of itself against what it is."""
        details = told.details
        if told.event == SEALED:
            self._sealed_at = line.number
            is_so = (details.first_seq, details.count) == (self._segment_first, line.number)
            is_so = is_so and details.root == self._tree.root().hex()
        else:
            before = ("", "") if seq == 0 else self._before
            is_so = line.number == 1 and details.first_seq == seq
            is_so = is_so and before in (None, (details.prev_segment, details.prev_segment_sha256))
            is_so = is_so and details.tree in (None, tuple(each.hex() for each in self._tree.range().hashes))
        if not is_so:
            self._blame(line, seq, f"{told.event} tells of other lines than there are")

    def _blame(self, line: StoredLine | None, seq: int, text: str) -> None:
        """The first finding stays."""
        if self._fault is None:
            place = line or StoredLine(f"{self._scope.begin.tree.size:012d}.jsonl", 0, 0, b"")
            self._fault = Fault(place.segment, place.number, place.offset_bytes, seq, text)


def _name(promise: Checkpoint | Promise) -> str:
    return promise.said_by if isinstance(promise, Promise) else f"the signed checkpoint of size {promise.size}"


class _Details(Struct, frozen=True):
    first_seq: int = -1
    count: int = -1
    root: str = ""
    prev_segment: str = ""
    prev_segment_sha256: str = ""
    tree: tuple[str, ...] | None = None


class _Told(Struct, frozen=True):
    event: str = ""
    prev: str = ""
    details: _Details = _Details()


class _Plain(Struct):
    event: str = ""
    prev: str = ""


def _read(data: bytes) -> _Told:
    """What a line says of the log; nothing for one that says it wrongly, which the tree still holds to its bytes."""
    try:
        plain = msgspec.json.decode(data, type=_Plain)
        if plain.event in (OPENED, SEALED):
            return msgspec.json.decode(data, type=_Told)
    except (msgspec.DecodeError, UnicodeError):
        return _Told()
    return _Told(plain.event, plain.prev)
