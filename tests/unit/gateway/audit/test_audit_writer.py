"""Invariant: whatever fails, and wherever the power goes, no acknowledged record is lost and the chain is whole."""

import contextlib
import errno
import hashlib
import json
from pathlib import Path

import pytest

from bench.proofs import audit_power_cuts
from gateway.audit.audit_disk import RealDisk, replace_file
from gateway.audit.audit_files import HEAD_NAME, read_head_file, segment_paths, stored_lines, verify_chain
from gateway.audit.audit_recovery import first_head, recover
from gateway.audit.audit_writer import ChainWriter
from policies.audit_chain import encode_entry
from policies.auditing.merkle import EMPTY, leaf_hash
from policies.auditing.segment_records import event_of, read_opened
from tests.crash_states import FastDisk

SEGMENT_BYTES = 2_000
"""Four or five of these tests' records beside the first and last line, so that a few commits rotate."""


class FailingDisk(FastDisk):
    """Fails the acts whose numbers are in `fails`; a failing write takes half of its bytes first.

    Notes which descriptors had a failed sync or write, and refuses to sync one of them again.
    """

    def __init__(self, fails: frozenset[int] | range, error: int = errno.EIO) -> None:
        self.fails = fails
        self.error = error
        self.acts = 0
        self.dead: set[int] = set()

    def _act(self) -> None:
        self.acts += 1
        if self.acts - 1 in self.fails:
            raise OSError(self.error, "injected")

    def create(self, path: Path) -> int:
        self._act()
        return super().create(path)

    def write(self, descriptor: int, data: bytes) -> int:
        try:
            self._act()
        except OSError:
            super().write(descriptor, data[: len(data) // 2])
            self.dead.add(descriptor)
            raise
        return super().write(descriptor, data[: max(1, len(data) * 2 // 3)])

    def sync(self, descriptor: int) -> None:
        assert descriptor not in self.dead, "a dead descriptor is never synced again"
        try:
            self._act()
        except OSError:
            self.dead.add(descriptor)
            raise

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self.dead.discard(descriptor)
        self._act()

    def truncate(self, path: Path, size_bytes: int) -> None:
        self._act()
        super().truncate(path, size_bytes)

    def rename(self, old: Path, new: Path) -> None:
        self._act()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._act()
        super().remove(path)

    def sync_folder(self, folder: Path) -> None:
        self._act()


def body(name: str) -> bytes:
    return encode_entry({"event": "test", "name": name, "fill": "x" * 20})


def names(folder: Path) -> list[str]:
    stored = [json.loads(line.data) for line in stored_lines(segment_paths(folder))]
    return [record["name"] for record in stored if "name" in record]


def opened(folder: Path, disk: RealDisk) -> ChainWriter:
    end = recover(folder, disk).end
    if not (folder / HEAD_NAME).exists():
        replace_file(disk, folder / HEAD_NAME, first_head())
    return ChainWriter(folder, disk, SEGMENT_BYTES, end)


def run(writer: ChainWriter, commits: int, size: int = 3) -> list[str]:
    """Commit batches; the names of the acknowledged records."""
    acknowledged = []
    for commit in range(commits):
        batch = [f"{commit}.{number}" for number in range(1 + commit % size)]
        try:
            writer.commit([body(name) for name in batch])
        except OSError:
            continue
        acknowledged += batch
    return acknowledged


def is_part(some: list[str], of_all: list[str]) -> bool:
    """Whether `some` is in `of_all`, in its order."""
    rest = iter(of_all)
    return all(name in rest for name in some)


def test_commits_are_chained_rotated_and_named_by_the_head(tmp_path: Path) -> None:
    writer = opened(tmp_path, RealDisk())
    acknowledged = run(writer, 12)
    writer.close()
    verdict = verify_chain(tmp_path)
    assert verdict.fault is verdict.unfinished is None
    assert verdict.records == writer.last_seq + 1
    assert verdict.beyond_head == 0
    lines = [line.data[:-1] for line in stored_lines(segment_paths(tmp_path))]
    assert writer.tree == EMPTY.extended(map(leaf_hash, lines))
    assert read_head_file(tmp_path).tree == writer.tree.hashes
    assert names(tmp_path) == acknowledged
    assert len(segment_paths(tmp_path)) > 3
    assert all(path.stat().st_size <= SEGMENT_BYTES for path in segment_paths(tmp_path))
    assert (tmp_path / HEAD_NAME).stat().st_mode & 0o777 == 0o600


def test_a_commit_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    writer = opened(tmp_path, FastDisk())
    writer.commit([body(str(number)) for number in range(30)])
    writer.commit([body("after")])
    writer.close()
    assert [path.name for path in segment_paths(tmp_path)] == ["000000000000.jsonl", "000000000032.jsonl"]
    assert verify_chain(tmp_path).fault is None


def test_a_closed_chain_goes_on_in_its_segment(tmp_path: Path) -> None:
    for _ in range(3):
        writer = opened(tmp_path, FastDisk())
        writer.commit([body("a")])
        writer.close()
    assert len(segment_paths(tmp_path)) == 1
    assert names(tmp_path) == ["a", "a", "a"]
    assert verify_chain(tmp_path).records == 4


def test_a_segment_tells_where_it_begins_and_ends(tmp_path: Path) -> None:
    writer = opened(tmp_path, FastDisk())
    run(writer, 12)
    before = b""
    paths = segment_paths(tmp_path)
    for path in paths:
        lines = path.read_bytes().splitlines()
        told = read_opened(lines[0])
        assert told is not None
        assert told.first_seq == int(path.stem)
        assert told.prev_segment_sha256 == (hashlib.sha256(before).hexdigest() if before else "")
        assert told.tree is not None
        assert told.tree.size == told.first_seq
        assert (event_of(lines[-1]) == "segment.sealed") is (path != paths[-1])
        before = path.read_bytes()
    writer.close()


def test_a_day_ends_a_segment_also_when_nothing_is_recorded(tmp_path: Path) -> None:
    writer = opened(tmp_path, FastDisk())
    writer.commit([body("a")], now_s=1_000.0)
    assert not writer.seal_old(1_000.0 + 86_399)
    assert writer.seal_old(1_000.0 + 86_400)
    assert not writer.seal_old(10**9), "nothing is open"
    assert writer.open_from == 3
    writer.close()
    again = opened(tmp_path, FastDisk())
    assert again.closed == writer.closed
    again.commit([body("b")], now_s=2_000.0)
    again.close()
    assert [path.name for path in segment_paths(tmp_path)] == ["000000000000.jsonl", "000000000003.jsonl"]
    assert names(tmp_path) == ["a", "b"]
    assert verify_chain(tmp_path).fault is None


def test_a_recovered_segment_keeps_its_age(tmp_path: Path) -> None:
    writer = opened(tmp_path, FastDisk())
    writer.commit([encode_entry({"ts": "1970-01-02T00:00:00.000000Z", "name": "a"})], now_s=86_400.0)
    path = segment_paths(tmp_path)[0]
    writer.close()
    first = path.read_bytes().splitlines()[0]
    assert b'"ts"' not in first, "these tests' own records tell no time"
    assert recover(tmp_path, FastDisk()).end.opened_s == 0.0


@pytest.mark.parametrize("acts", [range(3), range(1, 4), range(2, 5)])
def test_a_segment_whose_disk_does_not_take_its_last_line_ends_without(tmp_path: Path, acts: range) -> None:
    writer = opened(tmp_path, FastDisk())
    writer.commit([body("a")], now_s=0.0)
    writer._disk = FailingDisk(acts)
    for _ in range(3):
        with contextlib.suppress(OSError):
            writer.commit([body("b")], now_s=90_000.0)
            break
    writer.close()
    assert names(tmp_path)[0] == "a"
    assert names(tmp_path)[-1] == "b"
    assert verify_chain(tmp_path).fault is None


def count_acts(folder: Path) -> int:
    disk = FailingDisk(frozenset())
    writer = opened(folder, disk)
    run(writer, 6)
    return disk.acts


@pytest.mark.parametrize(
    ("length", "error"), [(1, errno.EIO), (2, errno.ENOSPC), (5, errno.EIO), (10_000, errno.ENOSPC)]
)
def test_any_failure_of_any_length_loses_nothing(tmp_path: Path, length: int, error: int) -> None:
    (tmp_path / "count").mkdir()
    for first in range(count_acts(tmp_path / "count")):
        folder = tmp_path / str(first)
        folder.mkdir()
        writer = opened(folder, FastDisk())
        disk = FailingDisk(range(first, first + length), error)
        writer._disk = disk
        acknowledged = run(writer, 6)
        disk.fails = range(0)
        writer.commit([body("healed")])  # without a restart
        acknowledged.append("healed")
        writer.close()
        verdict = verify_chain(folder)
        assert verdict.fault is verdict.unfinished is None
        assert is_part(acknowledged, names(folder))


@pytest.mark.parametrize("length", [1, 10_000])
def test_a_process_that_dies_of_its_failure_is_recovered(tmp_path: Path, length: int) -> None:
    (tmp_path / "count").mkdir()
    for first in range(count_acts(tmp_path / "count")):
        folder = tmp_path / str(first)
        folder.mkdir()
        writer = opened(folder, FastDisk())
        writer._disk = FailingDisk(range(first, first + length))
        acknowledged = run(writer, 6)
        writer._disk = FastDisk()
        writer.close()
        again = opened(folder, FastDisk())
        again.commit([body("again")])
        again.close()
        verdict = verify_chain(folder)
        assert verdict.fault is verdict.unfinished is None
        assert is_part([*acknowledged, "again"], names(folder))


def test_a_lone_sync_failure_is_not_told_to_the_caller(tmp_path: Path) -> None:
    """The lines of that commit go once more, into a new segment."""
    writer = opened(tmp_path, FastDisk())
    writer.commit([body("before")])
    writer._disk = FailingDisk(frozenset({2}))  # write, write, sync
    writer.commit([body("during")])
    writer.close()
    assert names(tmp_path) == ["before", "during"]
    assert len(segment_paths(tmp_path)) == 2


def test_a_head_that_cannot_be_written_is_written_first_the_next_time(tmp_path: Path) -> None:
    writer = opened(tmp_path, FastDisk())
    writer.commit([body("before")])
    disk = FailingDisk(range(20))
    disk.acts = -1_000_000
    writer._disk = disk
    (tmp_path / "head.new").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 (any cause)
        writer.commit([body("lasting")])
    with pytest.raises(OSError):  # noqa: PT011
        writer.commit([body("not begun")])
    assert verify_chain(tmp_path).beyond_head == 1
    (tmp_path / "head.new").rmdir()
    writer.commit([body("after")])
    writer.close()
    assert names(tmp_path) == ["before", "lasting", "after"]
    assert verify_chain(tmp_path).beyond_head == 0


def test_a_disk_that_takes_nothing_is_an_error_not_a_loop(tmp_path: Path) -> None:
    class FullDisk(FastDisk):
        def write(self, descriptor: int, data: bytes) -> int:
            return 0

    writer = opened(tmp_path, FastDisk())
    writer._disk = FullDisk()
    with pytest.raises(OSError, match="took nothing"):
        writer.commit([body("x")])
    writer.close()


@pytest.mark.slow
def test_every_power_cut_is_recovered() -> None:
    """A small part of `make prove P=audit_power_cuts`."""
    figures = audit_power_cuts.prove(audit_power_cuts.SMALL)
    assert figures["states"] > 400
    assert figures["most_unsynced"] >= 5
