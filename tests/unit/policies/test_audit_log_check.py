"""Invariant: lines are proven by a signed root of theirs and by nothing else; every gap and false tale is named."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.audit_chain import GENESIS, Position, StoredLine, encode_entry, line_hash, link, segment_name
from policies.audit_log_check import (
    MAX_GAP,
    Beginning,
    LogCheck,
    LogFindings,
    Promise,
    Scope,
    beginning,
)
from policies.auditing.chain_seen import SEEN, seen_details
from policies.auditing.checkpoint import Checkpoint
from policies.auditing.checkpoint_trail import Turn
from policies.auditing.key_change import ROTATED, change_details, sign_change
from policies.auditing.merkle import EMPTY, CompactRange, leaf_hash
from policies.auditing.segment_records import (
    OPENED,
    PRUNED,
    SEALED,
    Opened,
    Pruned,
    opened_details,
    pruned_details,
    sealed_details,
)

ORIGIN = "corral/ab/box-0"


class Lines:
    """A chain as it is written, with its trees; `more` is what a later segment is told of the one before."""

    def __init__(self) -> None:
        self.stored: list[StoredLine] = []
        self.trees: list[CompactRange] = [EMPTY]
        self._prev = GENESIS
        self._segment, self._first = "", 0

    @property
    def seq(self) -> int:
        return len(self.stored)

    def add(self, entry: Mapping[str, Any]) -> None:
        line = link(encode_entry(entry), self.seq, self._prev)
        number = self.seq - self._first + 1
        offset = self.stored[-1].offset_bytes + len(self.stored[-1].data) if number > 1 else 0
        self.stored.append(StoredLine(self._segment, number, offset, line + b"\n"))
        self.trees.append(self.trees[-1].appended(leaf_hash(line)))
        self._prev = line_hash(line)

    def tell(self, event: str, details: Mapping[str, Any]) -> None:
        self.add({"event": event, "details": dict(details)})

    def open(self, **changed: Any) -> None:
        """A new segment and its first line."""
        before = [each for each in self.stored if each.segment == self._segment]
        digest = hashlib.sha256(b"".join(each.data for each in before)).hexdigest() if before else ""
        opened = Opened(self.seq, self._segment, digest, self.trees[-1])
        self._segment, self._first = segment_name(self.seq), self.seq
        self.tell(OPENED, {**opened_details(opened), **changed})

    def seal(self, **changed: Any) -> None:
        self.tell(SEALED, {**sealed_details(self._first, self.trees[-1]), **changed})

    def fill(self, count: int) -> None:
        for _ in range(count):
            self.add({"event": "e", "text": str(self.seq)})

    def checkpoints(self, *sizes: int) -> list[Checkpoint]:
        return [Checkpoint(ORIGIN, size, self.trees[size].root()) for size in sizes]


def two_segments() -> Lines:
    """13 lines: 0 to 5 with a footer, then 6 to 12."""
    lines = Lines()
    lines.open()
    lines.fill(4)
    lines.seal()
    lines.open()
    lines.fill(6)
    return lines


def judge(
    stored: Sequence[StoredLine],
    own: Sequence[Checkpoint] = (),
    scope: Scope | None = None,
    anchors: Sequence[Promise] = (),
) -> LogFindings:
    check = LogCheck(scope or Scope("box-0"), own, anchors)
    assert len(list(check.watch(stored))) <= len(stored)
    return check.findings()


def text_of(findings: LogFindings) -> str:
    assert findings.fault is not None
    return findings.fault.text


def test_lines_are_proven_up_to_the_last_checkpoint() -> None:
    lines = two_segments()
    findings = judge(lines.stored, lines.checkpoints(0, 3, 11))
    assert findings == LogFindings(size=13, proven=11)
    assert judge(lines.stored, []).proven == 0


def test_a_root_that_is_not_the_lines_names_the_stretch() -> None:
    lines = two_segments()
    wrong = [*lines.checkpoints(3), Checkpoint(ORIGIN, 9, b"w" * 32), *lines.checkpoints(12)]
    findings = judge(lines.stored, wrong)
    assert findings.fault is not None
    assert (findings.fault.segment, findings.fault.number, findings.fault.seq) == (segment_name(6), 3, 8)
    assert text_of(findings) == "the lines from seq 3 to 8 are not those that the signed checkpoint of size 9 covers"
    assert text_of(judge([], [Checkpoint(ORIGIN, 0, b"w" * 32)])).startswith("the lines from seq 0")


def test_a_cut_tail_and_a_false_anchor_are_named() -> None:
    lines = two_segments()
    assert "the tail was cut: the signed checkpoint of size 12" in text_of(
        judge(lines.stored[:9], lines.checkpoints(12))
    )
    assert judge(lines.stored, [], anchors=[Promise(8, lines.trees[8].root(), "A")]).proven == 8
    assert "that A covers" in text_of(judge(lines.stored, [], anchors=[Promise(8, b"w" * 32, "A")]))


def test_too_many_lines_without_a_checkpoint_are_named() -> None:
    lines = Lines()
    lines.open()
    lines.fill(MAX_GAP + 5)
    last = lines.seq
    assert judge(lines.stored, lines.checkpoints(last)).fault is None, "before the first one there were none"
    assert "2005 lines after that of size 1" in text_of(judge(lines.stored, lines.checkpoints(1, last)))
    assert "2006 lines after that of size 0" in text_of(judge(lines.stored, lines.checkpoints(0)))
    assert judge(lines.stored, lines.checkpoints(0, 6)).fault is None
    part = Scope("box-0", to_seq=2)
    assert judge(lines.stored, lines.checkpoints(0, 4, last), part).fault is None


@pytest.mark.parametrize(
    "changed",
    [
        {"first_seq": 5},
        {"prev_segment": "000000000001.jsonl"},
        {"prev_segment_sha256": "0" * 64},
        {"tree": ["0" * 64]},
    ],
)
def test_a_segments_first_line_that_tells_otherwise_is_named(changed: dict[str, Any]) -> None:
    lines = Lines()
    lines.open()
    lines.fill(5)
    lines.open(**changed)
    assert text_of(judge(lines.stored)) == "segment.opened tells of other lines than there are"


def test_a_segments_first_line_elsewhere_is_named() -> None:
    lines = Lines()
    lines.open()
    lines.fill(1)
    lines.tell(OPENED, opened_details(Opened(2, "", "", lines.trees[-1])))
    assert "segment.opened tells" in text_of(judge(lines.stored))


@pytest.mark.parametrize("changed", [{"first_seq": 1}, {"count": 4}, {"root": "0" * 64}])
def test_a_segments_last_line_that_tells_otherwise_is_named(changed: dict[str, Any]) -> None:
    lines = Lines()
    lines.open()
    lines.fill(3)
    lines.seal(**changed)
    assert text_of(judge(lines.stored)) == "segment.sealed tells of other lines than there are"


def test_lines_behind_a_segments_last_one_are_named() -> None:
    lines = Lines()
    lines.open()
    lines.seal()
    lines.fill(1)
    lines.open()
    assert "behind the end of their segment" in text_of(judge(lines.stored))


def test_an_event_that_tells_no_details_is_a_line_like_any_other() -> None:
    lines = Lines()
    lines.open()
    lines.add({"event": SEALED, "details": "none"})
    lines.add({"event": PRUNED})
    lines.add({"event": SEEN})
    lines.add({"event": "x", "text": {"event": "segment.sealed"}})
    assert judge(lines.stored, lines.checkpoints(5)) == LogFindings(size=5, proven=5)


def test_other_chains_checkpoints_are_collected() -> None:
    lines = Lines()
    lines.open()
    other = Checkpoint("corral/ab/box-1", 4, b"r" * 32)
    lines.tell(SEEN, seen_details(other, "c2ln"))
    (seen,) = judge(lines.stored).seen
    assert (seen.checkpoint, seen.by, seen.seq) == (other, "box-0", 1)


# ---- beginning later


def pruned_lines(**changed: Any) -> Lines:
    """Two segments, the second of which tells that the first one was pruned."""
    lines = two_segments()
    last = lines.stored[5].data[:-1]
    pruned = Pruned(0, 5, line_hash(last), lines.trees[6])
    lines.tell(PRUNED, {**pruned_details(pruned), **changed})
    lines.fill(1)
    return lines


def begin_of(stored: Sequence[StoredLine]) -> Beginning:
    begin = beginning(stored[0])
    assert begin is not None
    return begin


def test_pruned_lines_are_a_gap_by_policy() -> None:
    lines = pruned_lines()
    rest = lines.stored[6:]
    findings = judge(rest, lines.checkpoints(2, 6, 14), Scope("box-0", begin_of(rest)))
    assert findings.fault is None
    assert findings.pruned is not None
    assert (findings.first_seq, findings.size, findings.proven, findings.pruned.last_seq) == (6, 15, 14, 5)


def test_a_gap_that_no_proven_record_tells_of_is_tampering() -> None:
    for lines, own in (
        (pruned_lines(), (13,)),  # the record lies behind the last checkpoint
        (pruned_lines(last_hash="0" * 64), (14,)),
        (pruned_lines(last_seq=4), (14,)),
        (two_segments(), (13,)),
    ):
        rest = lines.stored[6:]
        findings = judge(rest, lines.checkpoints(*own), Scope("box-0", begin_of(rest)))
        assert findings.pruned is None
        assert text_of(findings) == "the lines before seq 6 are gone, and no proven audit.pruned tells of it"


def test_a_false_beginning_does_not_lead_to_the_signed_root() -> None:
    lines = two_segments()
    rest = lines.stored[6:]
    told = json.loads(rest[0].data)
    told["details"]["tree"][0] = "0" * 64
    rest[0] = StoredLine(rest[0].segment, 1, 0, json.dumps(told, separators=(",", ":")).encode() + b"\n")
    scope = Scope("box-0", begin_of(rest), partial=True)
    assert "are not those" in text_of(judge(rest, lines.checkpoints(13), scope))


def test_a_reader_of_a_part_reads_no_further_than_proven() -> None:
    lines = two_segments()
    rest = lines.stored[6:]
    check = LogCheck(Scope("box-0", begin_of(rest), to_seq=8, partial=True), lines.checkpoints(4, 8, 10, 13))
    assert len(list(check.watch(rest))) == 4
    assert check.stopped
    findings = check.findings()
    assert (findings.fault, findings.pruned, findings.proven) == (None, None, 10)


def test_a_line_that_does_not_tell_where_it_stands_is_no_beginning() -> None:
    lines = two_segments()
    assert beginning(None) == Beginning()
    assert beginning(lines.stored[0]) == Beginning()
    assert begin_of(lines.stored[6:]).position.prev is None
    line = lines.stored[6]
    for segment, data in ((line.segment, b"{}\n"), (segment_name(7), line.data), ("x.jsonl", line.data)):
        assert beginning(StoredLine(segment, 1, 0, data)) is None
    untold = Lines()
    untold.open()
    untold.open(tree=None)
    assert beginning(untold.stored[1]) is None


# ---- rule 6: the key changes

OLD, NEW = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
CHANGE = sign_change("corral/ab", OLD, NEW)
NEW_KEY = NEW.public_key().public_bytes_raw()


def turned(lines: Lines, turn: Turn, scope: Scope | None = None, own: Sequence[Checkpoint] = ()) -> LogFindings:
    check = LogCheck(scope or Scope("box-0"), own, (), [turn])
    list(check.watch(lines.stored if scope is None else lines.stored[scope.begin.tree.size :]))
    return check.findings()


def with_change(at: int, details: Mapping[str, Any] | None = None) -> Lines:
    """20 lines; that of `at` tells of the change."""
    lines = Lines()
    lines.open()
    lines.fill(at - 1)
    lines.tell(ROTATED, change_details(CHANGE) if details is None else details)
    lines.fill(20 - lines.seq)
    return lines


@pytest.mark.parametrize(
    ("at", "before", "first", "is_told"),
    [(10, 10, 11, True), (10, 10, 15, True), (10, 11, 15, False), (10, 5, 10, False), (12, 10, 15, True)],
)
def test_a_change_is_recorded_between_the_checkpoints_of_both_keys(at, before, first, is_told) -> None:
    findings = turned(with_change(at), Turn(before, first, NEW_KEY))
    assert (findings.fault is None) is is_told
    if not is_told:
        assert "is under a new key, and no record before it" in text_of(findings)


@pytest.mark.parametrize("details", [{}, {**change_details(CHANGE), "old_signature": "AAAA"}])
def test_a_record_that_the_old_key_did_not_sign_is_none(details) -> None:
    assert turned(with_change(10, details), Turn(10, 15, NEW_KEY)).fault is not None


def test_a_change_to_another_key_is_not_the_one() -> None:
    assert turned(with_change(10), Turn(10, 15, b"x" * 32)).fault is not None


def test_a_change_that_was_pruned_or_lies_behind_what_was_asked_for_is_not_missed() -> None:
    lines = with_change(10)
    begin = Scope("box-0", Beginning(Position(12, None), lines.trees[12]), partial=True)
    assert turned(lines, Turn(10, 15, NEW_KEY), begin).fault is None
    assert turned(lines, Turn(15, 30, NEW_KEY)).fault is None


def test_the_first_finding_stays() -> None:
    lines = with_change(10)
    wrong = [Checkpoint(ORIGIN, 5, b"x" * 32)]
    assert "size 5" in text_of(turned(lines, Turn(11, 15, NEW_KEY), own=wrong))
