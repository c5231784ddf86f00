"""Invariant: `record` returns only for records that survive, whatever the process or the disk dies of."""

import asyncio
import errno
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import audit_log, audit_writer
from gateway.audit.audit_disk import RealDisk
from gateway.audit.audit_files import HEAD_NAME, segment_paths, stored_lines, verify_chain
from gateway.audit.audit_key import AuditKey
from gateway.audit.audit_log import AuditLog, AuditNotOpened, stamp_now
from gateway.audit.audit_writer import MAX_COMMIT_RECORDS
from gateway.audit.checkpointer import Checkpointer
from gateway.audit.disk_guard import RESERVE_NAME, DiskGuard
from policies.audit_record import Stamp
from policies.auditing.disk_room import Room
from policies.errors import AuditUnavailable

SEGMENT_BYTES = 20_000
ROOT = Path(__file__).parents[4]


def open_log(folder: Path, disk: RealDisk | None = None) -> AuditLog:
    return AuditLog.open(
        folder, node="node-1", segment_bytes=SEGMENT_BYTES, disk=disk, stamp=lambda: Stamp(1_000_000, 2, "boot")
    )


def records(folder: Path) -> list[dict[str, object]]:
    """Without what the log says of its own files."""
    stored = [json.loads(line.data) for line in stored_lines(segment_paths(folder))]
    return [record for record in stored if not str(record.get("event")).startswith("segment.")]


class GatedDisk(RealDisk):
    """Counts syncs of lines; holds each until `gate` is set; fails while `error` is set."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.writing = threading.Event()
        self.writes = 0
        self.error = 0

    def write(self, descriptor: int, data: bytes) -> int:
        if self.error:
            raise OSError(self.error, "injected")
        self.writing.set()
        assert self.gate.wait(60)
        self.writes += 1
        return super().write(descriptor, data)


async def test_a_record_is_stored_when_record_returns(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await log.record({"event": "test", "stage": "completed"})
    stored = records(tmp_path)
    first = hashlib.sha256(next(stored_lines(segment_paths(tmp_path))).data[:-1]).hexdigest()
    assert stored == [
        {
            "v": 1,
            "seq": 1,
            "node": "node-1",
            "instance": tmp_path.name,
            "event": "test",
            "stage": "completed",
            "prev": first,
        }
    ]
    assert log.available
    await log.close()
    assert not log.available
    assert verify_chain(tmp_path).beyond_head == 0


async def test_the_head_follows_a_log_that_is_idle(tmp_path: Path) -> None:
    log = open_log(tmp_path, RealDisk())
    for number in range(5):
        await log.record({"number": number})
    assert verify_chain(tmp_path).beyond_head == 6
    for _ in range(3000):
        await asyncio.sleep(0.01)
        if log.writer.is_settled:
            break
    assert (verify_chain(tmp_path).records, verify_chain(tmp_path).beyond_head) == (6, 0)
    await log.close()


async def test_whoever_reads_the_log_may_have_its_head_follow_at_once(tmp_path: Path) -> None:
    log = open_log(tmp_path, RealDisk())
    await log.record({"number": 1})
    assert verify_chain(tmp_path).beyond_head == 2
    await log.settle()
    assert verify_chain(tmp_path).beyond_head == 0
    await log.close()
    await log.settle()  # nothing to do, and nothing fails


async def test_a_head_that_cannot_settle_is_told_by_the_next_record(tmp_path: Path) -> None:
    disk = FullForHeads()
    log = open_log(tmp_path, disk)
    await log.record({"number": 1})
    disk.full = True
    await log.settle()
    with pytest.raises(AuditUnavailable):
        await log.record({"number": 2})
    disk.full = False
    await log.close()


async def test_the_head_of_a_busy_log_follows_after_so_many_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_writer, "HEAD_EVERY_RECORDS", 4)
    monkeypatch.setattr(audit_log, "IDLE_S", 60.0)
    log = open_log(tmp_path, RealDisk())
    lags = []
    for number in range(9):
        await log.record({"number": number})
        lags.append(verify_chain(tmp_path).beyond_head)
    assert lags == [2, 3, 0, 1, 2, 3, 0, 1, 2]  # the first commit opens the segment too
    await log.round()
    assert log.writer.is_settled
    await log.close()


async def test_a_head_that_cannot_follow_refuses_what_comes_next(tmp_path: Path) -> None:
    disk = FullForHeads()
    log = guarded_log(tmp_path, disk)
    await log.record({"number": 1})
    disk.full = True
    for _ in range(3000):
        await asyncio.sleep(0.01)
        if not log.available:
            break
    with pytest.raises(AuditUnavailable, match="audit_disk_full"):
        await log.record({"number": 2})
    disk.full = False
    await log.record({"number": 3, "stage": "system"})
    await log.close()
    assert [each for each in told(tmp_path) if each in (1, 2, 3)] == [1, 3]
    assert verify_chain(tmp_path).fault is None


async def test_records_that_wait_share_one_commit(tmp_path: Path) -> None:
    disk = GatedDisk()
    log = open_log(tmp_path, disk)
    await log.record({"event": "opens the segment"})
    disk.writes = 0
    disk.gate.clear()
    first = log.submit({"number": 0})
    await asyncio.to_thread(disk.writing.wait, 60)
    rest = [log.submit({"number": number}) for number in range(1, 51)]
    assert not first.done()
    disk.gate.set()
    await asyncio.gather(first, *rest)
    assert disk.writes == 2  # lines, twice
    assert [record["number"] for record in records(tmp_path)[1:]] == list(range(51))
    await log.close()


async def test_more_records_than_one_commit_takes(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await asyncio.gather(*(log.record({"number": number}) for number in range(1200)))
    await log.close()
    assert len(records(tmp_path)) == 1200
    assert verify_chain(tmp_path).fault is None


async def test_a_cancelled_caller_does_not_take_its_record_back(tmp_path: Path) -> None:
    disk = GatedDisk()
    log = open_log(tmp_path, disk)
    disk.gate.clear()
    task = asyncio.create_task(log.record({"number": 1}))
    await asyncio.to_thread(disk.writing.wait, 60)
    task.cancel()
    disk.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await log.record({"number": 2})
    await log.close()
    assert [record["number"] for record in records(tmp_path)] == [1, 2]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
async def test_a_disk_that_fails_refuses_every_record_until_it_works_again(tmp_path: Path, error: int) -> None:
    disk = GatedDisk()
    log = open_log(tmp_path, disk)
    await log.record({"number": 1})
    disk.error = error
    for _ in range(3):
        with pytest.raises(AuditUnavailable) as caught:
            await log.record({"number": 2})
        assert caught.value.reason == f"audit_{errno.errorcode[error].lower()}"
        assert not log.available
    disk.error = 0
    await log.record({"number": 3})
    assert log.available
    await log.record({"number": 4})
    await log.close()
    stored = records(tmp_path)
    assert [record.get("number", record.get("event")) for record in stored] == [1, "audit.resumed", 3, 4]
    assert stored[1]["details"] == {"refused": 3, "cause": errno.errorcode[error].lower()}
    assert verify_chain(tmp_path).fault is None


async def test_what_is_no_record_is_told_to_its_caller_alone(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with pytest.raises(ValueError, match="longer"):
        await log.record({"text": "x" * 70_000})
    await log.record({"text": "x"})
    await log.close()


async def test_a_bug_in_the_writer_refuses_all_and_the_next_record_tries_again(tmp_path: Path) -> None:
    class Broken(RealDisk):
        broken = False

        def write(self, descriptor: int, data: bytes) -> int:
            if self.broken:
                super().write(descriptor, data[: len(data) // 2])
                raise MemoryError
            return super().write(descriptor, data)

    disk = Broken()
    log = open_log(tmp_path, disk)
    await log.record({"number": 0})
    disk.broken = True
    waiting = [log.submit({"number": number}) for number in range(MAX_COMMIT_RECORDS + 1)]  # more than one commit
    refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(error) for error in refused} == {"audit_fault"}
    committer = log._committer
    assert committer is not None
    with pytest.raises(MemoryError):
        await committer
    disk.broken = False
    await log.record({"number": 2})
    await log.close()
    assert verify_chain(tmp_path).fault is verify_chain(tmp_path).unfinished is None
    assert [each.get("number", each.get("event")) for each in records(tmp_path)] == [0, "audit.resumed", 2]


async def test_a_closed_log_refuses(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    waiting = log.submit({"number": 1})
    await log.close()
    assert waiting.result() is None
    with pytest.raises(AuditUnavailable):
        await log.record({"number": 2})


async def test_an_unclean_stop_is_recorded(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await log.record({"number": 1})
    await log.close()
    with segment_paths(tmp_path)[-1].open("ab") as file:
        file.write(b"torn")
    again = open_log(tmp_path)
    await again.close()
    recovered = records(tmp_path)[-1]
    assert recovered["event"] == "audit.recovered"
    assert recovered["details"] == {
        "torn_bytes": 4,
        "torn_file": "000000000002-0.torn",
        "beyond_head": 0,
        "last_good_seq": 1,
    }
    clean = open_log(tmp_path)
    await clean.close()
    assert verify_chain(tmp_path).records == 3


def test_a_damaged_chain_is_not_opened(tmp_path: Path) -> None:
    open_log(tmp_path)
    (tmp_path / HEAD_NAME).write_bytes(b"{}")
    with pytest.raises(AuditNotOpened, match="damaged"):
        open_log(tmp_path)


def test_a_log_that_cannot_be_written_says_so_in_one_line(tmp_path: Path) -> None:
    class Full(RealDisk):
        def write(self, descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "injected")

    with pytest.raises(AuditNotOpened, match="No space left on device: free space there"):
        open_log(tmp_path, Full())


def test_the_stamp_tells_both_clocks_and_the_boot() -> None:
    stamp = stamp_now()
    assert abs(stamp.unix_us - time.time_ns() // 1000) < 60_000_000
    assert 0 < stamp.mono_ns <= time.monotonic_ns()
    assert len(stamp.boot_id) in (0, 36)


CHILD = """
import asyncio, os, sys
from pathlib import Path
from gateway.audit.audit_log import AuditLog

async def client(log, run, number):
    for turn in range(100_000):
        name = f"{run}.{number}.{turn}"
        await log.record({"event": "test", "name": name})
        os.write(1, (name + chr(10)).encode())

async def main(folder, run):
    log = AuditLog.open(Path(folder), node="n", segment_bytes=30_000)
    await asyncio.gather(*(client(log, run, number) for number in range(16)))

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


def acknowledged_until_killed(folder: Path, run: int, after: int) -> list[str]:
    """Names a writing process told before it was killed, some time after it told `after` of them."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(run)], stdout=subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": "."}
    )
    assert child.stdout is not None
    told = []
    with child.stdout:
        for line in child.stdout:
            told.append(line.decode().strip())
            if len(told) == after:
                os.kill(child.pid, signal.SIGKILL)
    child.wait(timeout=60)
    return told


@pytest.mark.slow
def test_ten_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(11)
    told: list[str] = []
    for run in range(10):
        told += acknowledged_until_killed(tmp_path, run, chance.randrange(1, 700))
    log = open_log(tmp_path)
    asyncio.run(log.close())
    verdict = verify_chain(tmp_path)
    assert verdict.fault is verdict.unfinished is None
    stored = [str(record.get("name")) for record in records(tmp_path)]
    assert set(told) <= set(stored)
    assert len(told) >= 10


async def test_the_log_comes_back_by_itself(tmp_path: Path) -> None:
    disk = GatedDisk()
    disk.gate.set()
    log = AuditLog.open(tmp_path, node="n", segment_bytes=10_000, disk=disk)
    disk.error = errno.ENOSPC
    with pytest.raises(AuditUnavailable):
        await log.record({"event": "x"})
    for error, expected in ((errno.ENOSPC, False), (0, True)):
        disk.error = error
        log.try_again()
        assert log._committer is not None
        await log._committer
        assert log.available is expected
    log.try_again()
    await log.close()


class Quota(RealDisk):
    """Takes no write while `full`; a reserve that is given up makes room for so many writes."""

    def __init__(self) -> None:
        self.full = False
        self.room = 0
        self.cannot_reserve = False

    def write(self, descriptor: int, data: bytes) -> int:
        if self.full:
            if not self.room:
                raise OSError(errno.EDQUOT, "injected")
            self.room -= 1
        return super().write(descriptor, data)

    def remove(self, path: Path) -> None:
        if path.name == RESERVE_NAME and path.exists():
            self.room = 20
        super().remove(path)

    def allocate(self, path: Path, size_bytes: int) -> None:
        if self.full:
            raise OSError(errno.EDQUOT, "injected")
        super().allocate(path, size_bytes)


def guarded_log(folder: Path, disk: Quota, *told: int) -> AuditLog:
    """A log whose disk is as full as told at each look; half full without a word."""
    log, percents = open_log(folder, disk), iter(told) if told else itertools.repeat(50)
    log.watch(DiskGuard(folder, disk, 4096, lambda _: Room(percent := next(percents), 100 - percent)))
    return log


def told(folder: Path) -> list[object]:
    return [record.get("number", record.get("event")) for record in records(folder)]


async def test_a_disk_that_runs_out_of_room_is_told_from_the_reserve(tmp_path: Path) -> None:
    """What was authorized before still gets its end; nothing new is taken; all comes back without a restart."""
    disk = Quota()
    log = guarded_log(tmp_path, disk)
    await log.look_at_disk()
    await log.record({"number": 1})
    disk.full = True
    outcomes = await asyncio.gather(
        log.submit({"number": 2, "stage": "completed"}, needed=True),
        log.submit({"number": 3, "stage": "authorized"}),
        return_exceptions=True,
    )
    assert outcomes[0] is None
    assert isinstance(outcomes[1], AuditUnavailable)
    assert outcomes[1].reason == "audit_disk_full"
    assert not log.available
    with pytest.raises(AuditUnavailable, match="audit_disk_full"):
        await log.record({"number": 4, "stage": "authorized"})
    await log.record({"number": 5, "stage": "system"})
    await log.look_at_disk()
    assert not log.available, "the numbers say half full, and the disk still refuses"
    disk.full = False
    await log.look_at_disk()
    assert log.available
    await log.record({"number": 6})
    await log.close()
    assert told(tmp_path) == [1, "disk.full", 2, 5, "disk.back", 6]
    details = [record["details"] for record in records(tmp_path) if record.get("event") in ("disk.full", "disk.back")]
    assert [each["turned_away"] for each in details if isinstance(each, dict)] == [1, 2]
    assert verify_chain(tmp_path).fault is None


async def test_a_reserve_that_does_not_help_refuses_all(tmp_path: Path) -> None:
    disk = Quota()
    log = guarded_log(tmp_path, disk)
    disk.full = True
    for _ in range(2):
        with pytest.raises(AuditUnavailable, match="audit_edquot"):
            await log.submit({"number": 1}, needed=True)
    disk.full = False
    await log.look_at_disk()
    await log.record({"number": 2})
    await log.close()
    assert told(tmp_path) == ["audit.resumed", "disk.back", 2]


async def test_the_levels_are_recorded(tmp_path: Path) -> None:
    log = guarded_log(tmp_path, Quota(), 80, 80, 92, 99, 96, 10)
    for _ in range(6):
        await log.look_at_disk()
    await log.close()
    assert told(tmp_path) == ["disk.low", "disk.low", "disk.full", "disk.back", "disk.back"]
    assert log.disk_state is not None
    assert log.disk_state.level == "roomy"


async def test_a_disk_that_cannot_be_measured_changes_nothing(tmp_path: Path) -> None:
    def gone(_: Path) -> Room:
        raise OSError(errno.EIO, "injected")

    log = open_log(tmp_path)
    await log.look_at_disk()
    assert log.disk_state is None
    log.watch(DiskGuard(tmp_path, RealDisk(), 4096, gone))
    await log.look_at_disk()
    assert log.available
    await log.close()


async def test_how_far_the_log_is_behind(tmp_path: Path) -> None:
    disk = GatedDisk()
    log = open_log(tmp_path, disk)
    assert log.behind_s() == 0
    disk.gate.clear()
    waiting = log.submit({"number": 1})
    assert log.behind_s() > 0
    await asyncio.to_thread(disk.writing.wait, 60)
    assert log.behind_s() > 0
    disk.gate.set()
    await waiting
    await asyncio.sleep(0)
    assert log.behind_s() == 0
    await log.close()


async def test_a_round_ends_a_segment_whose_day_is_over(tmp_path: Path) -> None:
    now = [1_000_000_000]
    log = AuditLog.open(tmp_path, node="n", segment_bytes=SEGMENT_BYTES, stamp=lambda: Stamp(now[0], 2, "boot"))
    key = AuditKey("d" * 16, Ed25519PrivateKey.generate(), tmp_path)
    checkpointer = Checkpointer.open(tmp_path, key, log.writer.tree)
    notes: list[bytes] = []
    checkpointer.subscribe(notes.append)
    log.attach(checkpointer)
    await log.record({"number": 1})
    await log.round()
    assert log.writer.closed == ("", "")
    now[0] += 86_400 * 1_000_000
    await log.round()
    assert log.writer.closed[0] == "000000000000.jsonl"
    assert len(notes) == 1
    await log.record({"number": 2})
    await log.checkpoint()
    assert len(notes) == 2
    await log.close()
    assert told(tmp_path) == [1, 2]


async def test_a_round_on_a_broken_disk_is_tried_again(tmp_path: Path) -> None:
    now = [1_000_000_000]
    disk = GatedDisk()
    log = AuditLog.open(
        tmp_path, node="n", segment_bytes=SEGMENT_BYTES, disk=disk, stamp=lambda: Stamp(now[0], 2, "boot")
    )
    await log.record({"number": 1})
    now[0] += 86_400 * 1_000_000
    disk.error = errno.EIO
    await log.round()
    disk.error = 0
    await log.record({"number": 2})
    await log.close()
    assert verify_chain(tmp_path).fault is None
    assert told(tmp_path) == [1, 2]


async def test_a_disk_full_by_its_numbers_that_then_runs_out_gives_up_the_reserve(tmp_path: Path) -> None:
    disk = Quota()
    log = guarded_log(tmp_path, disk, 50, 98)
    for _ in range(2):
        await log.look_at_disk()
    disk.full = True
    await log.submit({"number": 1, "stage": "completed"}, needed=True)
    assert not (tmp_path / RESERVE_NAME).exists()
    disk.full = False
    await log.close()
    assert told(tmp_path) == ["disk.full", "disk.full", 1]


async def test_the_reserve_is_there_only_while_the_log_is_open(tmp_path: Path) -> None:
    log = guarded_log(tmp_path, Quota())
    await log.look_at_disk()
    assert (tmp_path / RESERVE_NAME).exists()
    await log.close()
    assert not (tmp_path / RESERVE_NAME).exists()


class FullForHeads(Quota):
    """Takes lines, and has no room for a new head while `full`, until the reserve is given up."""

    def create(self, path: Path) -> int:
        if self.full and path.name == f"{HEAD_NAME}.new" and not self.room:
            raise OSError(errno.ENOSPC, "injected")
        return super().create(path)

    def write(self, descriptor: int, data: bytes) -> int:
        return RealDisk.write(self, descriptor, data)


async def test_lines_whose_head_did_not_fit_go_in_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_writer, "HEAD_EVERY_RECORDS", 1)
    disk = FullForHeads()
    log = guarded_log(tmp_path, disk)
    await log.look_at_disk()
    await log.record({"number": 1})
    disk.full = True
    await log.submit({"number": 2, "stage": "completed"}, needed=True)
    assert not log.available
    disk.full = False
    await log.close()
    assert told(tmp_path) == [1, 2, "disk.full"]
    assert verify_chain(tmp_path).beyond_head == 0


async def test_lines_whose_head_never_fits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_writer, "HEAD_EVERY_RECORDS", 1)
    disk = FullForHeads()
    log = guarded_log(tmp_path, disk)
    await log.record({"number": 1})
    disk.full = True
    with pytest.raises(AuditUnavailable, match="audit_enospc"):
        await log.submit({"number": 2, "stage": "completed"}, needed=True)
    disk.full = False
    await log.record({"number": 3, "stage": "system"})
    await log.close()
    assert told(tmp_path)[0] == 1
    assert told(tmp_path)[-1] == 3
    assert verify_chain(tmp_path).fault is None
