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


def read_secret_line(path: Path, most_bytes: int) -> str:
    """The one line of printable ASCII that a file holds, blanks around it taken away.

    Raises OSError as `open_plain`, UnicodeDecodeError for what is not ASCII, and ValueError for a file that is empty,
    of several lines, or longer.
    """
    with open_plain(path) as file:
        text = file.read(most_bytes + 1).decode("ascii").strip()
    if not text or not text.isprintable() or len(text) > most_bytes:
        raise ValueError("not one line")
    return text


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
