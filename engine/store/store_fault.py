"""The error of the model store, and how an error of the disk becomes one."""

import errno
import shutil
from pathlib import Path

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class StoreFault(Exception):
    """The store cannot do it. One line: what, where, and the remedy. `bad_input`: the caller's mistake."""

    def __init__(self, message: str, *, bad_input: bool = False) -> None:
        super().__init__(message)
        self.bad_input = bad_input


def disk_fault(fault: OSError, path: Path) -> StoreFault:
    """`fault` as a sentence that names the place and, for a full disk, what is free on it."""
    where = Path(fault.filename) if isinstance(fault.filename, str) else path
    if fault.errno in _NO_SPACE:
        return StoreFault(
            f"no space left on the disk of {path}{_free(path)}: free some, or move the home to another disk"
        )
    return StoreFault(f"{where}: {fault.strerror or fault}", bad_input=isinstance(fault, FileNotFoundError))


def _free(path: Path) -> str:
    try:
        return f" ({shutil.disk_usage(path).free // 2**20} MiB free)"
    except OSError:
        return ""
