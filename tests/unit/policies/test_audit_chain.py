"""Invariant: a chain that was written is whole; any change to it, of any byte, is found and named."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.audit_chain import (
    GENESIS,
    MAX_LINE_BYTES,
    Fault,
    Head,
    HeadBroken,
    Position,
    RecordTooLong,
    StoredLine,
    Verdict,
    encode_entry,
    head_bytes,
    line_hash,
    read_head,
    segment_name,
    verify_lines,
)
from tests.chain_lines import chain_line

Segments = dict[str, bytes]
PER_SEGMENT = 25


def build(records: int, *, per_segment: int = PER_SEGMENT) -> tuple[Segments, Head]:
    """A chain of `records` lines in segments, and its head."""
    segments: Segments = {}
    prev, name = GENESIS, segment_name(0)
    for seq in range(records):
        if seq % per_segment == 0:
            name = segment_name(seq)
            segments[name] = b""
        line = chain_line({"event": "e", "stage": "completed", "text": f"record \u20ac {seq}"}, seq, prev)
        segments[name] += line + b"\n"
        prev = line_hash(line)
    return segments, Head(records - 1, prev, name)


def stored(segments: Segments) -> list[StoredLine]:
    lines = []
    for name in sorted(segments):
        offset = 0
        for number, data in enumerate(segments[name].splitlines(keepends=True), 1):
            lines.append(StoredLine(name, number, offset, data))
            offset += len(data)
    return lines


def judge(segments: Segments, head: Head) -> Verdict:
    return verify_lines(stored(segments), head)


def fault_of(verdict: Verdict) -> Fault:
    assert verdict.fault is not None
    return verdict.fault


def line_number(data: bytes, place: int) -> int:
    return data[:place].count(b"\n") + 1


def test_a_line_is_ascii_json_with_the_chains_own_fields() -> None:
    line = chain_line({"text": "caf\u00e9\n", "n": 1}, 7, GENESIS)
    assert line.isascii()
    assert b"\n" not in line
    assert json.loads(line) == {"v": 1, "seq": 7, "text": "caf\u00e9\n", "n": 1, "prev": GENESIS}


@given(st.dictionaries(st.text(min_size=1), st.one_of(st.text(), st.integers(), st.booleans()), min_size=1, max_size=5))
def test_any_entry_survives_a_line(entry: dict[str, object]) -> None:
    if {"v", "seq", "prev"} & entry.keys():
        return
    line = chain_line(entry, 0, GENESIS)
    assert line.isascii()
    assert b"\n" not in line
    assert {k: v for k, v in json.loads(line).items() if k not in ("v", "seq", "prev")} == entry


@pytest.mark.parametrize("entry", [{}, {"v": 1}, {"seq": 1}, {"prev": ""}, {"x": float("nan")}])
def test_what_is_no_record_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"record|compliant"):
        encode_entry(entry)


def test_a_record_longer_than_a_line_is_refused() -> None:
    with pytest.raises(RecordTooLong):
        encode_entry({"text": "x" * MAX_LINE_BYTES})
    assert len(chain_line({"text": "x" * (MAX_LINE_BYTES - 300)}, 10**15, GENESIS)) < MAX_LINE_BYTES


def test_a_whole_chain_is_whole() -> None:
    segments, head = build(200)
    verdict = judge(segments, head)
    assert verdict == Verdict(records=200, last_seq=199, last_hash=head.hash, stages={"completed": 200})


def test_an_empty_chain_is_whole() -> None:
    verdict = verify_lines([], Head(-1, GENESIS, segment_name(0)))
    assert (verdict.fault, verdict.records, verdict.last_seq, verdict.last_hash) == (None, 0, -1, GENESIS)


def test_lines_beyond_the_head_are_counted() -> None:
    segments, _ = build(30)
    lines = stored(segments)
    head = Head(26, line_hash(lines[26].data[:-1]), segment_name(25))
    verdict = judge(segments, head)
    assert (verdict.fault, verdict.unfinished, verdict.beyond_head, verdict.last_seq) == (None, None, 3, 29)


def test_every_byte_of_the_last_segment_and_a_sample_elsewhere() -> None:
    segments, head = build(110)
    chance = random.Random(5)
    last = max(segments)
    places = [(last, place) for place in range(len(segments[last]))]
    earlier = [(name, place) for name in segments if name != last for place in range(len(segments[name]))]
    for name, place in places + chance.sample(earlier, 2500):
        data = bytearray(segments[name])
        data[place] ^= 1 << chance.randrange(8)
        fault = fault_of(judge(segments | {name: bytes(data)}, head))
        assert (fault.segment, fault.number) == (name, line_number(segments[name], place))


def test_every_byte_of_the_head() -> None:
    data = head_bytes(build(30)[1])
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(HeadBroken):
                read_head(bytes(changed))
    with pytest.raises(HeadBroken):
        read_head(b"")
    with pytest.raises(HeadBroken):
        read_head(head_bytes(Head(1, GENESIS, "../../x")))


def test_a_head_is_read_as_written() -> None:
    head = Head(12, "a" * 64, segment_name(0))
    assert read_head(head_bytes(head)) == head


@pytest.mark.parametrize("lost", [1, 3, 24, 25, 26, 50])
def test_a_cut_tail_is_found(lost: int) -> None:
    _segments, head = build(50)
    kept, _ = build(50 - lost) if lost < 50 else ({}, None)
    fault = fault_of(judge(kept, head))
    assert "tail was cut" in fault.text
    assert fault.seq == 50 - lost


def test_a_tail_cut_inside_a_line_is_found() -> None:
    segments, head = build(50)
    name = max(segments)
    for missing in (1, 2, 100):
        fault = fault_of(judge(segments | {name: segments[name][:-missing]}, head))
        assert (fault.segment, fault.seq) == (name, 49)


def test_dropped_swapped_and_doubled_lines_are_found() -> None:
    segments, head = build(50)
    name = segment_name(25)
    lines = segments[name].splitlines(keepends=True)
    for changed in (
        lines[:5] + lines[6:],
        [*lines[:5], lines[6], lines[5], *lines[7:]],
        [*lines[:5], lines[4], *lines[5:]],
        lines[1:],
    ):
        fault = fault_of(judge(segments | {name: b"".join(changed)}, head))
        assert fault.segment == name
        assert fault.number == (1 if changed[0] != lines[0] else 6)


def test_missing_and_renamed_segments_are_found() -> None:
    segments, head = build(100)
    without = {name: data for name, data in segments.items() if name != segment_name(50)}
    fault = fault_of(judge(without, head))
    assert (fault.segment, fault.seq) == (segment_name(75), 50)
    assert "missing or misnamed" in fault.text
    misplaced = without | {segment_name(51): segments[segment_name(50)]}
    assert fault_of(judge(misplaced, head)).seq == 50


def test_a_rewritten_chain_is_betrayed_by_its_head() -> None:
    segments, head = build(10)
    forged = segments[segment_name(0)].replace(b"record", b"forged")
    lines, prev = [], GENESIS
    for seq, line in enumerate(forged.splitlines()):
        entry = json.loads(line)
        body = {key: value for key, value in entry.items() if key not in ("v", "seq", "prev")}
        lines.append(chain_line(body, seq, prev) + b"\n")
        prev = line_hash(lines[-1][:-1])
    fault = fault_of(judge({segment_name(0): b"".join(lines)}, head))
    assert (fault.seq, fault.text) == (9, "the line was changed: its hash is not the one in the head")


def test_a_head_that_names_another_segment_is_found() -> None:
    segments, head = build(50)
    other = Head(head.seq, head.hash, segment_name(0))
    assert "another segment" in fault_of(judge(segments, other)).text


def test_a_line_longer_than_may_be_is_found() -> None:
    segments, head = build(3)
    lines = stored(segments)
    lines[1] = StoredLine(lines[1].segment, 2, lines[1].offset_bytes, b"x" * MAX_LINE_BYTES)
    assert "longer than 64 KiB" in fault_of(verify_lines(lines, head)).text


def test_what_does_not_fit_beyond_the_head_is_unfinished_not_tampered() -> None:
    segments, _ = build(30)
    lines = stored(segments)
    head = Head(26, line_hash(lines[26].data[:-1]), segment_name(25))
    name = segment_name(25)
    for place, good in (
        (-1, 28),
        (-len(lines[29].data) - 120, 27),
        (len(lines[25].data) + len(lines[26].data) + 20, 26),
    ):
        data = bytearray(segments[name])
        data[place] ^= 1
        verdict = judge(segments | {name: bytes(data)}, head)
        assert verdict.fault is None
        assert verdict.unfinished is not None
        assert (verdict.unfinished.seq, verdict.last_seq) == (good + 1, good)
        assert verdict.last_hash == line_hash(lines[good].data[:-1])
        assert verdict.unfinished.offset_bytes == lines[good + 1].offset_bytes


def test_a_line_the_head_vouches_for_is_not_blamed_for_the_next() -> None:
    """Line 27 has a foreign prev and line 28 vouches for it: 26 is the head's, so 27 is to blame."""
    segments, _ = build(27)
    name = segment_name(25)
    lines = stored(segments)
    head = Head(26, line_hash(lines[26].data[:-1]), name)
    foreign = chain_line({"event": "e"}, 27, "f" * 64)
    after = chain_line({"event": "e"}, 28, line_hash(foreign))
    segments[name] += foreign + b"\n" + after + b"\n"
    verdict = judge(segments, head)
    assert verdict.fault is None
    assert verdict.unfinished is not None
    assert verdict.unfinished.seq == 27


def test_the_first_line_must_begin_a_chain() -> None:
    line = chain_line({"event": "e"}, 0, "a" * 64)
    after = chain_line({"event": "e"}, 1, line_hash(line))
    head = Head(1, line_hash(after), segment_name(0))
    fault = fault_of(judge({segment_name(0): line + b"\n" + after + b"\n"}, head))
    assert fault.seq == 0


def test_a_walk_may_begin_at_a_later_segment() -> None:
    segments, head = build(60)
    name = segment_name(50)
    for prev in (None, line_hash(stored(segments)[49].data[:-1])):
        verdict = verify_lines(stored({name: segments[name]}), head, Position(50, prev))
        assert (verdict.fault, verdict.records, verdict.last_seq) == (None, 10, 59)
    wrong = verify_lines(stored({name: segments[name]}), head, Position(50, "0" * 64))
    assert fault_of(wrong).seq == 50
