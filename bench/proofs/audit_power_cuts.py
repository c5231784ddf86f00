"""A power cut at any moment loses no acknowledged record: every state it may leave is built, recovered and verified.

A chain is written through a disk that notes every act: commits, rotations with their first and last lines, sealing,
compressing, pruning; commits in the middle of each act of sealing and pruning; with a head that names each commit at
once, and with one that lags as in a running gateway. After every act all states are built
that the rules allow (tests/crash_states.py). Of each must hold:
 * it is recovered, and every acknowledged record is there, but for those that a lasting `audit.pruned` tells of
 * the lines are one chain without a gap, its hashes and its tree those of the head, no seq twice
 * it can be written on, sealed and compressed, and is whole then
"""

import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from gateway.audit.audit_disk import replace_file
from gateway.audit.audit_files import HEAD_NAME, read_head_file, read_lines, segments
from gateway.audit.audit_recovery import ChainDamaged, first_head, recover
from gateway.audit.audit_writer import ChainWriter
from gateway.audit.segment_keeper import SegmentKeeper
from policies.audit_chain import GENESIS, Position, StoredLine, encode_entry, verify_lines
from policies.auditing.merkle import EMPTY, leaf_hash
from policies.auditing.segment_life import DAY_S
from policies.auditing.segment_records import PRUNED, Details, pruned_details, read_opened
from tests.crash_states import FastDisk, NotingDisk, after_power_cuts

SEGMENT_BYTES = 2_500
LATER_S = 1_000 * DAY_S
"""When everything is older than its retention."""
COMMITS = 14


class Size(NamedTuple):
    """`between`: in how many acts of sealing and pruning a commit falls (0: in each); `tears`: in how many places a
    write is torn (0: at any byte). One in `stride` states of the plain story is looked at, one in `between_stride` of
    those with a commit in between, over the `WINDOW` acts around it.
    """

    between: int
    tears: int
    stride: int
    between_stride: int
    every: int = 1
    """The power goes after every n-th act, n being this."""


FULL = Size(between=40, tears=8, stride=2, between_stride=31)
SMALL = Size(between=2, tears=2, stride=4, between_stride=4, every=15)
WINDOW = 40


class Promised(NamedTuple):
    """What was acknowledged once so many acts were done."""

    acts: int
    names: tuple[str, ...]
    pruned_to: int


class Story:
    """One chain's life on a noting disk."""

    def __init__(self, folder: Path, *, lags: bool) -> None:
        self.folder = folder
        self.disk = NotingDisk()
        self.writer = open_chain(folder, self.disk)
        if lags:
            self.writer.let_head_lag()
        self.promised = [Promised(len(self.disk.acts), (), -1)]
        self.maintained = 0
        self.between_at: int | None = None
        """After how many acts the commit in between came."""

    def commit(self, *names: str) -> None:
        """Records, acknowledged."""
        self.writer.commit([body(name) for name in names])
        known = self.promised[-1]
        self.promised.append(Promised(len(self.disk.acts), (*known.names, *names), known.pruned_to))

    def keep(self, at: int) -> None:
        """Seal and compress, then prune one segment; before act number `at` of it another record is committed."""
        begun = len(self.disk.acts)

        def between() -> None:
            if self.maintained + len(self.disk.acts) - begun == at:
                self.between_at = len(self.disk.acts)
                self.commit(f"between-{at}")

        self.disk.between = between
        keeper = keeper_of(self.folder, self.disk, self.writer)
        list(keeper.seal())
        self.disk.between = lambda: None
        pruned = keeper.prunable(LATER_S, 400, ())
        if pruned is not None:
            self.writer.commit([describe(PRUNED, pruned_details(pruned))])
            self.writer.settle()
            known = self.promised[-1]
            self.promised.append(Promised(len(self.disk.acts), known.names, pruned.last_seq))
            self.disk.between = between
            keeper.remove(pruned)
            self.disk.between = lambda: None
        self.maintained += len(self.disk.acts) - begun


def prove(size: Size = FULL) -> dict[str, Any]:
    """Run it. Raises AssertionError for the first state that does not hold."""
    totals = {"stories": 0, "acts": 0, "states": 0, "most_unsynced": 0}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        for lags in (False, True):
            place = Path(folder) / f"lags-{lags}"
            place.mkdir()
            length = tell_story(place / "count", -1, lags=lags).maintained
            places = range(length) if size.between == 0 else range(0, length, max(1, length // size.between))
            for at in (-1, *places):
                story = tell_story(place / f"story{at}", at, lags=lags)
                _judge_story(story, size, Path(folder) / "state", totals)
    return totals


def tell_story(folder: Path, at: int, *, lags: bool) -> Story:
    """Commits of one to three records, and a look at closed segments after every fourth; a lagging head catches up
    after every fifth.
    """
    folder.mkdir()
    story = Story(folder, lags=lags)
    for number in range(COMMITS):
        story.commit(*(f"{number}.{part}" for part in range(1 + number % 3)))
        if number % 5 == 4:
            story.writer.settle()
        if number % 4 == 3:
            story.keep(at)
    story.writer.close()
    return story


def _judge_story(story: Story, size: Size, place: Path, totals: dict[str, int]) -> None:
    chance = random.Random(7)
    acts, middle = story.disk.acts, story.between_at
    stride = size.stride if middle is None else size.between_stride
    within = range(len(acts) + 1) if middle is None else range(max(0, middle - WINDOW), middle + WINDOW)
    within = within[:: size.every]
    for number, (done, unsynced, state) in enumerate(after_power_cuts(acts, size.tears, chance, within)):
        if number % stride:
            continue
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name, data in state.items():
            (place / name).write_bytes(data)
        known = [each for each in story.promised if each.acts <= done] or story.promised[:1]
        judge(place, known[-1], f"after {done} acts")
        totals["states"] += 1
        totals["most_unsynced"] = max(totals["most_unsynced"], unsynced)
    totals["stories"] += 1
    print(totals, flush=True)
    totals["acts"] += len(story.disk.acts)


def judge(folder: Path, promised: Promised, where: str) -> None:
    """Recover what was found, and demand all that the head of this module says."""
    disk = FastDisk()
    try:
        writer = open_chain(folder, disk)
    except ChainDamaged as fault:
        raise AssertionError(f"{where}: {fault}") from None
    try:
        names = _whole(folder, where)
        _demand_promised(names, promised, folder, where)
        writer.commit([body("again")])
        list(keeper_of(folder, disk, writer).seal())
        assert [*names, "again"] == _whole(folder, where), where
    finally:
        writer.close()


def _whole(folder: Path, where: str) -> list[str]:
    """The names in a chain that is proven whole."""
    lines = [line for segment in segments(folder) for line in read_lines(segment)]
    head = read_head_file(folder)
    opened = read_opened(lines[0].data) if lines else None
    begins_late = opened is not None and opened.first_seq > 0
    start = Position(opened.first_seq, None) if begins_late and opened else Position(0, GENESIS)
    verdict = verify_lines(lines, head, start)
    assert verdict.fault is verdict.unfinished is None, (where, verdict)
    tree = opened.tree if begins_late and opened else EMPTY
    assert tree is not None
    tree = tree.extended(leaf_hash(line.data[:-1]) for line in lines[: head.seq + 1 - tree.size])
    assert (tree.size, tree.hashes) == (head.seq + 1, head.tree), where
    return [name for line in lines if (name := json.loads(line.data).get("name"))]


def _demand_promised(names: list[str], promised: Promised, folder: Path, where: str) -> None:
    lines: list[StoredLine] = [line for segment in segments(folder) for line in read_lines(segment)]
    first_seq = segments(folder)[0].first_seq if lines else 0
    assert first_seq <= promised.pruned_to + 1, f"{where}: segments went before their record was lasting"
    assert len(names) == len(set(names)), f"{where}: a record twice"
    missing = [name for name in promised.names if name not in names]
    assert not missing or first_seq > 0, f"{where}: lost {missing}"
    assert list(promised.names[len(missing) :]) == [name for name in names if name in set(promised.names)], where
    assert missing == list(promised.names[: len(missing)]), f"{where}: lost from the middle {missing}"
    if missing:
        assert first_seq - 1 <= promised.pruned_to, where


def open_chain(folder: Path, disk: FastDisk) -> ChainWriter:
    """A chain as the log opens one."""
    recovered = recover(folder, disk)
    if not (folder / HEAD_NAME).exists():
        replace_file(disk, folder / HEAD_NAME, first_head())
    writer = ChainWriter(folder, disk, SEGMENT_BYTES, recovered.end, describe)
    if recovered.unclean:
        writer.write_head()
    return writer


def keeper_of(folder: Path, disk: FastDisk, writer: ChainWriter) -> SegmentKeeper:
    """Of this chain."""
    return SegmentKeeper(folder, disk, lambda: writer.open_from, lambda: writer.closed)


def body(name: str) -> bytes:
    """A record that can be found again."""
    return encode_entry({"ts": "2026-01-01T00:00:00.000000Z", "event": "test", "name": name, "fill": "x" * 60})


def describe(event: str, details: Details) -> bytes:
    """The log's own records, without names."""
    return encode_entry({"ts": "2026-01-01T00:00:00.000000Z", "event": event, "details": details})
