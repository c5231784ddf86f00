"""Invariant: a disk that refused a record is full until the reserve fits on it again."""

import errno
from pathlib import Path

import pytest

from gateway.audit.audit_disk import RealDisk
from gateway.audit.disk_guard import RESERVE_NAME, DiskGuard, measure_room
from policies.auditing.disk_room import Room

RESERVE_BYTES = 100_000


class Small(RealDisk):
    """Has no room for a reserve while `full`."""

    full = False

    def allocate(self, path: Path, size_bytes: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "injected")
        super().allocate(path, size_bytes)


class Guarded:
    """A guard, and the room it sees."""

    def __init__(self, folder: Path) -> None:
        self.percent = 50
        self.disk = Small()
        self.reserve = folder / RESERVE_NAME
        self.guard = DiskGuard(folder, self.disk, RESERVE_BYTES, lambda _: self.room())

    def room(self) -> Room:
        return Room(self.percent * 1_000_000, (100 - self.percent) * 1_000_000)

    def look(self) -> tuple[str, str]:
        before = self.guard.look()
        return before, self.guard.level


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


def test_the_reserve_takes_up_room(guarded: Guarded) -> None:
    assert guarded.look() == ("roomy", "roomy")
    assert guarded.reserve.stat().st_blocks * 512 >= RESERVE_BYTES
    state = guarded.guard.state
    assert (state.level, state.used_percent, state.free_bytes, state.reserve) == ("roomy", 50.0, 50_000_000, True)


def test_the_levels_follow_the_disk(guarded: Guarded) -> None:
    levels = []
    for percent in (75, 90, 98, 97, 96, 50):
        guarded.percent = percent
        levels.append(guarded.look()[1])
    assert levels == ["low", "alarm", "full", "full", "alarm", "roomy"]
    assert guarded.reserve.exists(), "the numbers alone do not cost the reserve"


def test_a_disk_that_ran_out_is_full_until_the_reserve_fits(guarded: Guarded) -> None:
    guarded.look()
    guarded.disk.full = True
    guarded.guard.ran_out()
    assert guarded.guard.level == "full"
    assert not guarded.reserve.exists()
    assert guarded.look() == ("full", "full"), "whatever its numbers say"
    guarded.disk.full = False
    assert guarded.look() == ("full", "roomy")
    assert guarded.reserve.exists()


def test_a_reserve_that_does_not_fit_is_no_reason_to_stop(guarded: Guarded) -> None:
    guarded.disk.full = True
    assert guarded.look() == ("roomy", "roomy")
    assert not guarded.guard.state.reserve


def test_a_failed_allocation_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011 (whatever the file system says of it)
        RealDisk().allocate(tmp_path / "x", 2**62)
    assert not (tmp_path / "x").exists()


def test_the_real_disk_is_measured(tmp_path: Path) -> None:
    room = measure_room(tmp_path)
    assert room.used_bytes > 0
    assert room.free_bytes > 0
