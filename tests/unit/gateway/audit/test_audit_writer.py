"""Invariant: whatever fails, and wherever the power goes, no acknowledged record is lost and the chain is whole."""

import errno
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.audit_disk import RealDisk, replace_file
from gateway.audit.audit_files import HEAD_NAME, read_head_file, segment_paths, stored_lines, verify_chain
from gateway.audit.audit_recovery import first_head, recover
from gateway.audit.audit_writer import ChainWriter
from policies.audit_chain import encode_entry

SEGMENT_BYTES = 700
"""Four or five of these tests' records, so that a few commits rotate."""


class FastDisk(RealDisk):
    """Real files without waiting for the device."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass

    def truncate(self, path: Path, size_bytes: int) -> None:
        with path.open("r+b") as file:
            file.truncate(size_bytes)


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
    return [json.loads(line.data)["name"] for line in stored_lines(segment_paths(folder))]


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
    assert verdict.records == len(acknowledged) == writer.last_seq + 1
    assert verdict.beyond_head == 0
    assert names(tmp_path) == acknowledged
    assert len(segment_paths(tmp_path)) > 4
    assert all(path.stat().st_size <= SEGMENT_BYTES for path in segment_paths(tmp_path))
    assert (tmp_path / HEAD_NAME).stat().st_mode & 0o777 == 0o600


def test_a_commit_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    writer = opened(tmp_path, FastDisk())
    writer.commit([body(str(number)) for number in range(30)])
    writer.commit([body("after")])
    writer.close()
    assert [path.name for path in segment_paths(tmp_path)] == ["000000000000.jsonl", "000000000030.jsonl"]
    assert verify_chain(tmp_path).fault is None


def test_a_closed_chain_goes_on_in_its_segment(tmp_path: Path) -> None:
    for _ in range(3):
        writer = opened(tmp_path, FastDisk())
        writer.commit([body("a")])
        writer.close()
    assert len(segment_paths(tmp_path)) == 1
    assert verify_chain(tmp_path).records == 3


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


# Power cuts: every act is noted, then every state is built that the notes allow: synced data survives,
# unsynced data may be lost, torn or zeroed, unsynced names may or may not have reached the disk.


class NotingDisk(FastDisk):
    def __init__(self) -> None:
        self.acts: list[tuple[str, str, bytes]] = []
        self._files: dict[int, str] = {}
        self._made = itertools.count()

    def _note(self, act: str, name: str, data: bytes = b"") -> None:
        self.acts.append((act, name, data))

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._files[descriptor] = path.name
        self._note("create", path.name)
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        self._note("write", self._files[descriptor], data)
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._note("sync", self._files[descriptor])

    def rename(self, old: Path, new: Path) -> None:
        self._note("rename", old.name, new.name.encode())
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        if path.exists():
            self._note("remove", path.name)
        super().remove(path)

    def sync_folder(self, folder: Path) -> None:
        self._note("sync_folder", "")


class Inode:
    def __init__(self) -> None:
        self.safe = b""
        self.loose = b""

    def contents(self) -> list[bytes]:
        """What a power cut may leave of it."""
        if not self.loose:
            return [self.safe]
        torn = [self.loose[:kept] for kept in range(0, len(self.loose), 9)]
        holes = [part + bytes(len(self.loose) - len(part)) for part in torn[:: max(1, len(torn) // 3)]]
        left = [*torn, *holes, self.loose[:-1], self.loose]
        return [self.safe + rest for rest in left]


class Names:
    """The folder: names as the process sees them, as they are safe, and the changes between the two."""

    def __init__(self) -> None:
        self.now: dict[str, Inode] = {}
        self.safe: dict[str, Inode] = {}
        self.pending: list[tuple[str, str, Inode | None]] = []

    def put(self, name: str, inode: Inode, *, instead_of: str = "") -> None:
        self.now.pop(instead_of, None)
        self.now[name] = inode
        self.pending.append((name, instead_of, inode))

    def drop(self, name: str) -> None:
        del self.now[name]
        self.pending.append((name, "", None))

    def sync(self) -> None:
        self.safe, self.pending = dict(self.now), []

    def views(self) -> Iterator[dict[str, Inode]]:
        """The safe names with every choice of the pending changes."""
        for chosen in itertools.product([False, True], repeat=len(self.pending)):
            view = dict(self.safe)
            for name, old, inode in itertools.compress(self.pending, chosen):
                view.pop(old, None)
                view.pop(name, None)
                if inode is not None:
                    view[name] = inode
            yield view


def replay(acts: list[tuple[str, str, bytes]]) -> Names:
    folder = Names()
    for act, name, data in acts:
        match act:
            case "create":
                folder.put(name, Inode())
            case "write":
                folder.now[name].loose += data
            case "sync":
                inode = folder.now[name]
                inode.safe, inode.loose = inode.safe + inode.loose, b""
            case "rename":
                folder.put(data.decode(), folder.now[name], instead_of=name)
            case "remove":
                folder.drop(name)
            case _:
                folder.sync()
    return folder


def after_power_cut(acts: list[tuple[str, str, bytes]]) -> Iterator[dict[str, bytes]]:
    """Every state of the folder that may be found when the power went after `acts`."""
    for view in replay(acts).views():
        for contents in itertools.product(*(inode.contents() for inode in view.values())):
            yield dict(zip(view, contents, strict=True))


def test_every_power_cut_is_recovered(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    disk = NotingDisk()
    writer = opened(source, disk)
    progress: list[tuple[int, list[str]]] = [(len(disk.acts), [])]
    for commit in range(6):
        batch = [f"{commit}.{number}" for number in range(1 + commit % 3)]
        writer.commit([body(name) for name in batch])
        progress.append((len(disk.acts), progress[-1][1] + batch))
    writer.close()
    tried = 0
    for cut in range(len(disk.acts) + 1):
        acknowledged = max((known for done, known in progress if done <= cut), key=len, default=[])
        for state in after_power_cut(disk.acts[:cut]):
            tried += 1
            folder = tmp_path / str(tried)
            folder.mkdir()
            for name, data in state.items():
                (folder / name).write_bytes(data)
            again = opened(folder, FastDisk())
            again.commit([body("again")])
            again.close()
            verdict = verify_chain(folder)
            assert verdict.fault is verdict.unfinished is None, (cut, state)
            assert verdict.last_seq == read_head_file(folder).seq
            assert is_part([*acknowledged, "again"], names(folder)), (cut, state)
    assert tried > 400
