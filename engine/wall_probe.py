"""What of the walls stands on this machine, found out by raising them: prints one WallTrial as JSON, and ends.

    python -P -m engine.wall_probe

A process of its own, since walls cannot be taken down. It raises the two walls as a worker does, without a model, and
then tries what each of them forbids. Versions are not asked for: what counts is what the kernel refuses.
"""

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable

import msgspec
from msgspec import Struct

from engine.second_wall import second_wall
from engine.syscall_allowlist import SERVING
from engine.walls import first_wall

MEMORY_BYTES = 1 << 30
CONNECTIONS = 1
PASSED = "done"


class WallTrial(Struct, frozen=True, kw_only=True):
    """What was raised, what is missing of it, and what came of each attempt: PASSED, or the errno's name.

    `first` is tried behind the first wall, `second` behind both, where the first would still allow it.
    """

    landlock_abi: int
    no_new_privs: bool
    capabilities_dropped: bool
    seccomp: bool
    second_seccomp: bool
    binds_all_threads: bool
    missing: tuple[str, ...]
    first: dict[str, str]
    second: dict[str, str]


def try_walls() -> WallTrial:
    """Raise both walls around this process and try them. Raises OSError when one cannot be raised at all."""
    before = first_wall(read_files=[], memory_bytes=MEMORY_BYTES)
    first = {
        "read a file outside": _outcome(lambda: os.close(os.open("/etc/passwd", os.O_RDONLY))),
        "make a socket": _outcome(lambda: socket.socket().close()),
        "start a process": _outcome(lambda: _end_child(os.fork())),
    }
    after = second_wall(connections=CONNECTIONS, calls=SERVING)
    second = {
        "read a library": _outcome(lambda: os.close(os.open(os.__file__, os.O_RDONLY))),
        "start a thread": _outcome(threading.Thread(target=os.getpid).start),
    }
    return WallTrial(
        landlock_abi=min(before.landlock_abi, after.landlock_abi),
        no_new_privs=before.no_new_privs,
        capabilities_dropped=before.capabilities_dropped,
        seccomp=before.seccomp,
        second_seccomp=after.seccomp,
        binds_all_threads=after.binds_all_threads,
        missing=tuple(dict.fromkeys((*before.missing, *after.missing))),
        first=first,
        second=second,
    )


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as fault:
        return errno.errorcode.get(fault.errno or 0, "EIO")
    except RuntimeError:  # Python's word for a thread that the kernel refuses
        return "EPERM"
    return PASSED


def _end_child(pid: int) -> None:
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(try_walls()).decode())
