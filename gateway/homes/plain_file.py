"""Reading what an operator put somewhere: a file and nothing else.

A pipe in a file's place would be waited for, and the loop with it; a device may never end.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path) -> BinaryIO:
    """The regular file at `path`, open for reading. Raises OSError, of which `strerror` says what is wrong."""
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 (the caller closes it)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "is not a file", str(path))


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
