"""Invariant: what a gateway records is signed when it stops, and nothing is served on a log that cannot be signed."""

import errno
from pathlib import Path

import pytest

from gateway.audit.audit_key import KEY_NAME
from gateway.audit.audit_log import AuditLog, AuditNotOpened
from gateway.audit.checkpoint_file import CHECKPOINTS_NAME, END_NAME
from gateway.audit.log_verification import WHOLE
from gateway.audit.signed_log import sign_log
from policies.audit_record import Stamp, system_record
from policies.errors import AuditUnavailable
from tests.signed_chains import QuickDisk, judge

ENTRY = system_record("gateway.started", Stamp(1_000_000, 1, "boot"), {})


class Disk(QuickDisk):
    """Refuses to touch the checkpoints while `full`."""

    full = False

    def append(self, path: Path) -> int:
        if self.full and path.name == CHECKPOINTS_NAME:
            raise OSError(errno.ENOSPC, "injected")
        return super().append(path)


def opened(home: Path, disk: QuickDisk | None = None) -> AuditLog:
    folder = home / "audit" / "box-0"
    folder.mkdir(parents=True, exist_ok=True)
    log = AuditLog.open(folder, node="box", segment_bytes=5000, disk=disk or QuickDisk())
    sign_log(log, folder, disk or QuickDisk())
    return log


async def test_a_stopped_log_ends_with_a_checkpoint_each_time(tmp_path: Path) -> None:
    for times in (1, 2, 3):
        log = opened(tmp_path)
        for _ in range(20):
            await log.record(ENTRY)
        await log.close()
        (report,) = judge(tmp_path / "audit").chains
        assert report.status == WHOLE
        assert report.proven == report.last_seq + 1 > 20 * times


async def test_a_sealed_segment_is_covered_at_once(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for _ in range(40):
        await log.record(ENTRY)
    sealed = int(log.writer.closed[0].partition(".")[0])
    (report,) = judge(tmp_path / "audit").chains
    assert report.proven > sealed > 0
    await log.close()


async def test_a_checkpoint_that_cannot_be_written_is_a_record_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    log = opened(tmp_path, disk)
    await log.record(ENTRY)
    disk.full = True
    checkpointer = log._checkpointer
    assert checkpointer is not None
    monkeypatch.setattr(checkpointer, "_clock", lambda: float("inf"))
    for _ in range(3):
        with pytest.raises(AuditUnavailable):
            await log.record(ENTRY)
    assert not log.available
    lines = log.writer.last_seq
    with pytest.raises(AuditUnavailable):
        await log.record(ENTRY)
    assert log.writer.last_seq == lines, "no line is added before the checkpoint that is owed"
    disk.full = False
    log.try_again()
    await log.record(ENTRY)
    assert log.available
    await log.close()
    (report,) = judge(tmp_path / "audit").chains
    assert (report.status, report.proven) == (WHOLE, report.last_seq + 1)


async def test_the_round_makes_what_is_due_and_says_when_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    log = opened(tmp_path, disk)
    await log.record(ENTRY)
    monkeypatch.setattr(log._checkpointer, "_clock", lambda: float("inf"))
    disk.full = True
    await log.round()
    assert not log.available
    disk.full = False
    await log.round()
    log.try_again()
    await log.record(ENTRY)
    assert log.available
    assert judge(tmp_path / "audit").chains[0].proven >= 2
    await log.close()


async def test_what_stops_a_log_from_being_signed_is_one_line(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await log.record(ENTRY)
    await log.close()
    folder = tmp_path / "audit" / "box-0"
    whole = (folder / END_NAME).read_bytes()
    (folder / END_NAME).unlink()
    with pytest.raises(AuditNotOpened, match=r"the checkpoints of .* are damaged: .* keep .*/audit as evidence"):
        opened(tmp_path)
    (folder / END_NAME).mkdir()
    with pytest.raises(AuditNotOpened, match="cannot write the checkpoints"):
        opened(tmp_path)
    (folder / END_NAME).rmdir()
    (folder / END_NAME).write_bytes(whole)
    (tmp_path / KEY_NAME).chmod(0o644)
    with pytest.raises(AuditNotOpened, match="chmod 600"):
        opened(tmp_path)
