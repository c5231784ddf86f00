"""Landlock by its three system calls: which files and sockets this process may still reach.

The kernel names its own ability (the ABI); this module asks for every right that ABI knows, so a newer
kernel locks more and an older one is used as far as it goes. Constants: linux/landlock.h.
"""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
DEVICE_IOCTL = 1 << 15
_FILE_RIGHTS = WRITE_FILE | READ_FILE | DEVICE_IOCTL
# The newest right of each: 2 moving between folders, 3 truncating, 5 ioctl on devices, 9 connecting to a socket's path.
_FS_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1} | dict.fromkeys(
    range(5, 9), (1 << 16) - 1
)
_ALL_FS_RIGHTS = (1 << 17) - 1  # from ABI 9
_TCP_BIND_AND_CONNECT = 3  # from ABI 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 3  # from ABI 6
ALL_THREADS_ABI = 8
"""From here on a wall binds threads that were started before it as well."""
_ALL_THREADS_FLAG = 1 << 3  # LANDLOCK_RESTRICT_SELF_TSYNC


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("fd", ctypes.c_int32))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def kernel_abi() -> int:
    """The kernel's landlock ABI, 0 when it has none or it is switched off at boot."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def restrict(grants: Mapping[Path, int]) -> int:
    """Give up every right except `grants` (path -> rights, holding for all beneath it); returns the ABI.

    A path must exist; on anything but a folder the directory right is dropped. Needs no_new_privs. Adds to what was
    given up before. Binds the calling thread and those it starts later, from `ALL_THREADS_ABI` every thread of the
    process. Raises OSError when the kernel refuses.
    """
    abi = kernel_abi()
    attr = _RulesetAttr(
        _FS_RIGHTS_BY_ABI.get(abi, _ALL_FS_RIGHTS),
        _TCP_BIND_AND_CONNECT if abi >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    )
    size_bytes = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size_bytes), 0)
    try:
        for path, rights in grants.items():
            _grant(ruleset, path, rights & attr.fs)
        _call(_RESTRICT_SELF, ruleset, _ALL_THREADS_FLAG if abi >= ALL_THREADS_ABI else 0)
    finally:
        os.close(ruleset)
    return abi


def _grant(ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = rights if path.is_dir() else rights & _FILE_RIGHTS
        rule = _PathBeneathAttr(allowed, descriptor)
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _call(*arguments: object) -> int:
    result = int(_libc.syscall(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
