"""Watches the log's disk, and keeps a reserve on it, so that the log can still say why it stops.

What the numbers mean is decided in policies/auditing/disk_room.py. All acts block; the log calls them in its thread.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from gateway.audit.audit_disk import Disk
from policies.auditing.disk_room import RESERVE_BYTES, Level, Room, level_of, reserve_bytes

RESERVE_NAME = "reserve"
OUT_OF_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskState(Struct, frozen=True):
    """What is told of the disk: its level, how full it is, what is free, and whether the reserve is there."""

    level: Level
    used_percent: float
    free_bytes: int
    reserve: bool


def measure_room(folder: Path) -> Room:
    """The room on the disk that `folder` is on. Raises OSError."""
    found = os.statvfs(folder)
    return Room((found.f_blocks - found.f_bfree) * found.f_frsize, found.f_bavail * found.f_frsize)


class DiskGuard:
    """One chain's disk. `level` and `state` may be read from any thread."""

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        most_reserve_bytes: int = RESERVE_BYTES,
        measure: Callable[[Path], Room] = measure_room,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._reserve = folder / RESERVE_NAME
        self._most_reserve_bytes = most_reserve_bytes
        self._measure = measure
        self._room = Room(0, 0)
        self._ran_out = False
        self.level: Level = "roomy"

    @property
    def state(self) -> DiskState:
        """As it was at the last look."""
        percent = round(self._room.used_percent, 1)
        return DiskState(self.level, percent, self._room.free_bytes, self._reserve.exists())

    @property
    def is_spent(self) -> bool:
        """Whether the reserve was given up, and did not fit again yet."""
        return self._ran_out

    def look(self) -> Level:
        """Measure; the level before. After a disk refused a record it stays full until the reserve fits again.

        Raises OSError when the disk cannot be asked.
        """
        before, self._room = self.level, self._measure(self._folder)
        level = level_of(self._room, before)
        if level != "full" and not self._keep_reserve() and self._ran_out:
            level = "full"
        self._ran_out = self._ran_out and level == "full"
        self.level = level
        return before

    def ran_out(self) -> None:
        """The disk refused a record for want of room: give up the reserve. Raises OSError."""
        self._ran_out, self.level = True, "full"
        self._disk.remove(self._reserve)

    def close(self) -> None:
        """Give the room of the reserve back: it is kept while the log is open. Raises OSError."""
        self._disk.remove(self._reserve)

    def _keep_reserve(self) -> bool:
        """Whether the reserve is there, made if it was not."""
        if self._reserve.exists():
            return True
        size_bytes = reserve_bytes(self._room, self._most_reserve_bytes)
        try:
            self._disk.allocate(self._reserve, size_bytes)
        except OSError:
            return False
        return True
