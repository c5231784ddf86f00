"""The few acts on files that the log is made of, behind an interface so that tests can make each one fail.

Every act raises OSError when it fails, and nothing else.
"""

import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """Descriptors are plain numbers. `sync` makes a file's data lasting, `sync_folder` its names."""

    def create(self, path: Path) -> int:
        """A new file to append to; fails when there is one."""
        ...

    def append(self, path: Path) -> int:
        """An existing file to append to."""
        ...

    def write(self, descriptor: int, data: bytes) -> int:
        """Append; returns how many bytes were taken, which may be fewer."""
        ...

    def sync(self, descriptor: int) -> None: ...
    def close(self, descriptor: int) -> None: ...
    def truncate(self, path: Path, size_bytes: int) -> None:
        """Cut a file to a size, lastingly."""
        ...

    def rename(self, old: Path, new: Path) -> None: ...
    def remove(self, path: Path) -> None: ...
    def sync_folder(self, folder: Path) -> None: ...
    def protect(self, path: Path) -> None:
        """Nobody writes to this file any more; its owner and group may read it (0440)."""
        ...

    def allocate(self, path: Path, size_bytes: int) -> None:
        """A new file that takes up so much room, lastingly; nothing of it is left when that fails."""
        ...


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class RealDisk:
    """The operating system's files; new ones are readable by their owner alone."""

    def create(self, path: Path) -> int:
        return os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, 0o600)

    def append(self, path: Path) -> int:
        return os.open(path, _APPEND)

    def write(self, descriptor: int, data: bytes) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def truncate(self, path: Path, size_bytes: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.ftruncate(descriptor, size_bytes)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def protect(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.fchmod(descriptor, 0o440)
        finally:
            os.close(descriptor)

    def allocate(self, path: Path, size_bytes: int) -> None:
        descriptor = os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
            os.fsync(descriptor)
        except BaseException:
            path.unlink()
            raise
        finally:
            os.close(descriptor)


def write_all(disk: Disk, descriptor: int, data: bytes) -> None:
    """Write the whole of `data`, however little the disk takes at a time. Raises OSError."""
    rest = memoryview(data)
    while rest:
        taken = disk.write(descriptor, bytes(rest))
        if taken <= 0:
            raise OSError(5, "the disk took nothing")  # EIO: a zero write would loop for ever
        rest = rest[taken:]


def replace_file(disk: Disk, path: Path, data: bytes) -> None:
    """Put `data` in the place of `path`, atomically and lastingly. Raises OSError; then the old or the new is there."""
    fresh = path.with_name(f"{path.name}.new")
    disk.remove(fresh)
    descriptor = disk.create(fresh)
    try:
        write_all(disk, descriptor, data)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    disk.rename(fresh, path)
    disk.sync_folder(path.parent)
