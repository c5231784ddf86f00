"""Invariant: on a real disk that is full nothing is acknowledged that is not stored, and all comes back by itself."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.audit_disk import RealDisk
from gateway.audit.audit_files import segment_paths, stored_lines, verify_chain
from gateway.audit.audit_log import AuditLog
from gateway.audit.disk_guard import RESERVE_NAME, DiskGuard
from policies.errors import AuditUnavailable

ROOT = Path(__file__).parents[4]
SMALL = "4m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", str(place)]
    if os.geteuid() or subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(path: Path, spare_bytes: int = 0) -> None:
    """Take all room that the disk has left, but for some."""
    found = os.statvfs(path.parent)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, found.f_bavail * found.f_frsize - spare_bytes))


def stored(folder: Path) -> list[bytes]:
    return [line.data for line in stored_lines(segment_paths(folder))]


async def test_a_disk_that_others_fill_stops_the_log_and_lets_it_go_on(small_disk: Path) -> None:
    chain = small_disk / "chain"
    chain.mkdir()
    log = AuditLog.open(chain, node="n", segment_bytes=65536)
    log.watch(DiskGuard(chain, RealDisk()))
    await log.look_at_disk()
    assert (chain / RESERVE_NAME).exists()
    fill(small_disk / "filler")
    acknowledged, refused = [], 0
    for number in range(100):
        name = f'"number":{number},'.encode()
        try:
            await log.submit({"number": number, "stage": "authorized", "fill": "x" * 400})
            acknowledged.append(name)
        except AuditUnavailable:
            refused += 1
    assert refused > 0
    assert not (chain / RESERVE_NAME).exists(), "given up for what must still be said"
    await log.submit({"number": "last", "stage": "completed"}, needed=True)
    await log.look_at_disk()
    assert not log.available
    (small_disk / "filler").unlink()
    await log.look_at_disk()
    assert log.available
    await log.submit({"number": "again", "stage": "authorized"})
    await log.close()
    lines = stored(chain)
    assert all(any(name in line for line in lines) for name in (*acknowledged, b'"last"', b'"again"'))
    events = [event for line in lines for event in (b"disk.full", b"disk.back") if b'"' + event + b'"' in line]
    assert events == [b"disk.full", b"disk.back"]
    assert verify_chain(chain).fault is None


async def test_at_98_per_cent_the_log_stops_while_it_still_can_write(small_disk: Path) -> None:
    chain = small_disk / "chain"
    chain.mkdir()
    log = AuditLog.open(chain, node="n", segment_bytes=65536)
    log.watch(DiskGuard(chain, RealDisk()))
    await log.look_at_disk()
    fill(small_disk / "filler", spare_bytes=60_000)
    await log.look_at_disk()
    assert not log.available
    with pytest.raises(AuditUnavailable, match="audit_disk_full"):
        await log.submit({"stage": "authorized"})
    await log.submit({"stage": "completed"}, needed=True)
    assert (chain / RESERVE_NAME).exists(), "the numbers alone do not cost it"
    (small_disk / "filler").unlink()
    await log.look_at_disk()
    await log.submit({"stage": "authorized"})
    await log.close()


CHILD = """
import asyncio, errno, resource, sys
from pathlib import Path
from gateway.audit.audit_log import AuditLog
from policies.errors import AuditUnavailable

async def main(folder):
    log = AuditLog.open(Path(folder), node="n", segment_bytes=65536)
    await log.record({"number": 1})
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        await log.record({"number": 2})
        sys.exit("a record was acknowledged that could not be stored")
    except AuditUnavailable as fault:
        assert fault.reason == "audit_efbig", fault.reason
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await log.record({"number": 3})
    await log.close()

asyncio.run(main(sys.argv[1]))
"""


async def test_a_limit_on_files_refuses_until_it_is_lifted(tmp_path: Path) -> None:
    """Where nothing may be mounted this is the kernel's own way of taking no more."""
    argv = (sys.executable, "-c", CHILD, str(tmp_path))
    nowhere = asyncio.subprocess.DEVNULL  # what it prints must not be a file either
    child = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, env={"PYTHONPATH": "."}, stdout=nowhere)
    assert await asyncio.wait_for(child.wait(), 60) == 0
    lines = stored(tmp_path)
    found = [number for line in lines for number in (1, 2, 3) if f'"number":{number},'.encode() in line]
    assert found == [1, 3]
    assert any(b'"audit.resumed"' in line for line in lines)
    assert verify_chain(tmp_path).fault is None
