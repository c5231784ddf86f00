"""New files that are born with their final mode, so that no moment leaves a secret readable."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes, *, mode: int) -> None:
    """Make `path`, which must not exist, with `content`, on disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask is
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in the directory `path` lasting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
