"""Invariant: lines are proven by a signed root of theirs and by nothing else; every gap and false tale is named."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from policies.audit_chain import GENESIS, StoredLine, encode_entry, line_hash, link, segment_name
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
