"""Invariant: a closed segment is never lost: it is compressed whole or stays, and goes only when its time is over."""

import errno
import hashlib
from pathlib import Path

import pytest

from bench.proofs.audit_power_cuts import LATER_S, body, describe, keeper_of, open_chain
from gateway.audit.audit_files import Segment, read_lines, segment_paths, segments, stored_lines, verify_chain
from gateway.audit.audit_writer import ChainEnd, ChainWriter
from gateway.audit.segment_keeper import SegmentChanged, SegmentKeeper
from policies.audit_chain import GENESIS, line_hash, segment_name
from policies.auditing.merkle import EMPTY, leaf_hash
from policies.auditing.segment_life import DAY_S, Hold
from policies.auditing.segment_records import read_opened
from tests.chain_lines import chain_line
from tests.crash_states import FastDisk

RECORDED_S = 1_767_225_600.0
"""2026-01-01, when the records of these chains say they were made."""


@pytest.fixture
def chain(tmp_path: Path) -> ChainWriter:
    """Some segments, the last open."""
    writer = open_chain(tmp_path, FastDisk())
    for number in range(30):
        writer.commit([body(str(number))])
    return writer


def keep(folder: Path, writer: ChainWriter) -> SegmentKeeper:
    return keeper_of(folder, FastDisk(), writer)


def test_closed_segments_are_compressed_and_read_the_same(tmp_path: Path, chain: ChainWriter) -> None:
    before = list(stored_lines(segment_paths(tmp_path)))
    count = len(segments(tmp_path))
    sealed = list(keep(tmp_path, chain).seal())
    assert len(sealed) == count - 1 > 3
    assert [segment.compressed for segment in segments(tmp_path)] == [True] * (count - 1) + [False]
    assert {path.stat().st_mode & 0o777 for path in segment_paths(tmp_path)[:-1]} == {0o440}
    assert list(stored_lines(segment_paths(tmp_path))) == before
    assert verify_chain(tmp_path).fault is None
    assert list(keep(tmp_path, chain).seal()) == []
    chain.close()


def test_a_chain_without_a_segment_has_nothing_to_keep(tmp_path: Path) -> None:
    keeper = SegmentKeeper(tmp_path, FastDisk(), open_from=lambda: 0, closed=lambda: ("", ""))
    assert list(keeper.seal()) == []
    assert keeper.prunable(RECORDED_S + 1000 * DAY_S, 1, ()) is None


def test_a_chain_goes_on_after_its_last_segment_was_compressed(tmp_path: Path, chain: ChainWriter) -> None:
    chain.seal_old(10 * DAY_S)
    list(keep(tmp_path, chain).seal())
    chain.close()
    assert all(segment.compressed for segment in segments(tmp_path))
    again = open_chain(tmp_path, FastDisk())
    again.commit([body("again")])
    again.close()
    told = read_opened(next(read_lines(segments(tmp_path)[-1])).data)
    assert told is not None
    before = b"".join(line.data for line in read_lines(segments(tmp_path)[-2]))
    assert told.prev_segment_sha256 == hashlib.sha256(before).hexdigest()
    assert verify_chain(tmp_path).fault is None


def test_a_segment_that_is_not_what_was_written_is_left_as_it_is(tmp_path: Path, chain: ChainWriter) -> None:
    first = segment_paths(tmp_path)[0]
    first.write_bytes(changed := first.read_bytes().replace(b"xxx", b"xyx", 1))
    with pytest.raises(SegmentChanged, match="is not what was written"):
        list(keep(tmp_path, chain).seal())
    assert first.read_bytes() == changed
    chain.close()


class FullDisk(FastDisk):
    """Takes so many bytes and no more."""

    def __init__(self, room_bytes: int) -> None:
        self.room_bytes = room_bytes

    def write(self, descriptor: int, data: bytes) -> int:
        if self.room_bytes <= 0:
            raise OSError(errno.ENOSPC, "injected")
        taken = super().write(descriptor, data[: self.room_bytes])
        self.room_bytes -= taken
        return taken


def test_a_full_disk_leaves_the_plain_form_alone(tmp_path: Path, chain: ChainWriter) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(OSError, match="injected"):
        list(keeper_of(tmp_path, FullDisk(100), chain).seal())
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert len(list(keep(tmp_path, chain).seal())) > 3
    chain.close()


def test_a_compressed_form_that_does_not_read_back_is_not_taken(
    tmp_path: Path, chain: ChainWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lying(FastDisk):
        def write(self, descriptor: int, data: bytes) -> int:
            return super().write(descriptor, bytes([data[0]]) + bytes(len(data) - 1))

    with pytest.raises(SegmentChanged):
        list(keeper_of(tmp_path, Lying(), chain).seal())
    assert not list(tmp_path.glob("*.zst*"))
    chain.close()


def test_both_forms_are_one_segment_until_the_next_round(tmp_path: Path, chain: ChainWriter) -> None:
    first = segment_paths(tmp_path)[0]
    plain = first.read_bytes()
    list(keep(tmp_path, chain).seal())
    first.write_bytes(plain)
    assert segments(tmp_path)[0] == Segment(first, 0)
    assert verify_chain(tmp_path).fault is None
    assert list(keep(tmp_path, chain).seal()) == [first.name]
    assert not first.exists()
    chain.close()


def test_a_broken_compressed_segment_is_found(tmp_path: Path, chain: ChainWriter) -> None:
    list(keep(tmp_path, chain).seal())
    path = segment_paths(tmp_path)[1]
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    fault = verify_chain(tmp_path).fault
    assert fault is not None
    assert fault.segment == path.name.removesuffix(".zst")
    chain.close()


def test_the_oldest_goes_when_its_time_is_over(tmp_path: Path, chain: ChainWriter) -> None:
    keeper = keep(tmp_path, chain)
    list(keeper.seal())
    due_s = RECORDED_S + 400 * DAY_S
    assert keeper.prunable(due_s - 1, 400, ()) is None
    assert keeper.prunable(due_s, 400, (Hold(id="h"),)) is None
    assert keeper.prunable(due_s, 400, (Hold(id="h", to_s=RECORDED_S - 1),)) is not None
    gone = 0
    while (pruned := keeper.prunable(LATER_S + RECORDED_S, 400, ())) is not None:
        stored = segments(tmp_path)
        assert (pruned.first_seq, pruned.last_seq + 1) == (stored[0].first_seq, stored[1].first_seq)
        first = next(read_lines(stored[1])).data
        assert pruned.last_hash.encode() in first
        keeper.remove(pruned)
        gone += 1
    assert gone > 3
    assert [segment.first_seq for segment in segments(tmp_path)] == [chain.open_from]
    assert keeper.prunable(LATER_S + RECORDED_S, 400, ()) is None, "the open one stays"
    chain.close()


def test_a_segment_in_both_forms_goes_in_both(tmp_path: Path, chain: ChainWriter) -> None:
    keeper = keep(tmp_path, chain)
    first = segment_paths(tmp_path)[0]
    plain = first.read_bytes()
    list(keeper.seal())
    first.write_bytes(plain)
    pruned = keeper.prunable(LATER_S + RECORDED_S, 400, ())
    assert pruned is not None
    keeper.remove(pruned)
    assert not list(tmp_path.glob(f"{first.name}*"))
    chain.close()


def test_segments_of_the_older_form_go_together(tmp_path: Path) -> None:
    """They begin without `segment.opened`, so only the first newer one can be begun from."""
    prev, seq, leaves = GENESIS, 0, []
    for _ in range(3):
        lines = []
        for _ in range(4):
            line = chain_line({"ts": "2020-01-01T00:00:00.000000Z", "event": "old"}, seq, prev)
            prev, seq = line_hash(line), seq + 1
            lines.append(line + b"\n")
            leaves.append(leaf_hash(line))
        (tmp_path / segment_name(seq - 4)).write_bytes(b"".join(lines))
    end = ChainEnd(next_seq=seq, prev=prev, tree=EMPTY.extended(leaves))
    writer = ChainWriter(tmp_path, FastDisk(), 2_500, end, describe)
    writer.commit([body("new")])
    pruned = keep(tmp_path, writer).prunable(LATER_S + RECORDED_S, 400, ())
    assert pruned is not None
    assert (pruned.first_seq, pruned.last_seq, pruned.last_hash) == (0, 11, prev)
    keep(tmp_path, writer).remove(pruned)
    assert [segment.first_seq for segment in segments(tmp_path)] == [12]
    writer.close()
