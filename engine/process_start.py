"""How a worker and a preparer begin: bound to the supervisor's life, then behind the first wall.

Not here: SIGTERM. The worker takes it by `signal.set_wakeup_fd`, whose byte cannot be missed between two polls; the
preparer cannot, since that writes a byte for the SIGALRM of its time limit too.
"""

import argparse
import ctypes
import signal
import sys

from engine.private_memory import keep_memory_private
from engine.walls import WallReport, first_wall

CANNOT_LOAD = 3
"""Exit status when the model cannot be served."""
_PR_SET_PDEATHSIG = 1


class LoadFailed(Exception):
    """The model cannot be served; the message is one sentence."""


def die_with_supervisor() -> None:
    """SIGTERM when the process that started this one ends, so that none lives on unseen; and no look into this one."""
    keep_memory_private()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def raise_wall(options: argparse.Namespace, process: str) -> None:
    """Put the first wall up. What it lacks is said on stderr, under `process`, the kind of this process.

    Raises LoadFailed when the model file is not there or the wall cannot stand.
    """
    try:
        report = first_wall(read_files=[options.model_file], memory_bytes=options.memory_bytes)
    except OSError as fault:
        raise LoadFailed(f"{fault.filename or 'wall'}: {fault.strerror}") from None
    if missing := check_wall(report):
        sys.stderr.write(f"{process}: {options.model}: the wall lacks {missing}\n")


def check_wall(report: WallReport) -> str:
    """What is missing from the wall, for the log. Raises LoadFailed when the wall cannot stand at all."""
    if not (report.no_new_privs and report.seccomp):
        raise LoadFailed(f"this machine cannot wall it in: {'; '.join(report.missing)}")
    return "; ".join(report.missing)
