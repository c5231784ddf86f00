"""How a worker and a preparer begin: bound to the supervisor's life, then behind the first wall, at last the second.

What a wall may lack is the operator's to say (`engine.sandbox`): with `required` a process that lacks any part of
its walls ends; with `best` it goes on with what this kernel gives, and says so. No process ever goes on without
no_new_privs and both system-call filters: the walls would have a door.

Not here: SIGTERM. The worker takes it by `signal.set_wakeup_fd`, whose byte cannot be missed between two polls; the
preparer cannot, since that writes a byte for the SIGALRM of its time limit too.
"""

import argparse
import ctypes
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from engine.device_profile import CPU, DeviceProfile, profile_for
from engine.private_memory import keep_memory_private
from engine.second_wall import SecondWallReport, second_wall
from engine.settings import Sandbox
from engine.walls import WallReport, first_wall

_PR_SET_PDEATHSIG = 1


class LoadFailed(Exception):
    """The model cannot be served; the message is one sentence."""


def die_with_supervisor() -> None:
    """SIGTERM when the process that started this one ends, so that none lives on unseen; and no look into this one."""
    keep_memory_private()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def add_sandbox_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--sandbox`, see the head."""
    parser.add_argument("--sandbox", choices=get_args(Sandbox), default="required")


def raise_wall(options: argparse.Namespace, process: str) -> None:
    """Put the first wall up. What it lacks is said on stderr, under `process`, the kind of this process.

    Raises LoadFailed when the model file is not there or the wall may not stand as it is.
    """
    _keep_local_time()
    profile = _profile(options)
    if not profile.is_cpu:
        sys.stderr.write(
            f"{process}: {options.model}: its walls are those for {profile.backend}, wider and never tested\n"
        )
    try:
        # An adapter that is not there is left out when it is loaded; the model itself goes on.
        adapters = [file for _, file in getattr(options, "adapter", ()) if file.exists()]
        projector = getattr(options, "projector", None)
        files = [options.model_file, *adapters, *([projector] if projector else [])]
        report = first_wall(read_files=files, memory_bytes=options.memory_bytes, profile=profile)
    except OSError as fault:
        raise LoadFailed(f"{fault.filename or 'wall'}: {fault.strerror}") from None
    if missing := check_wall(report, options.sandbox):
        sys.stderr.write(f"{process}: {options.model}: the wall lacks {missing}\n")


def raise_second_wall(options: argparse.Namespace, process: str, *, connections: int, calls: Iterable[str]) -> None:
    """Put the second wall up, once all is loaded, imported and warm. See `raise_wall` and `second_wall`.

    Raises LoadFailed when it may not stand as it is.
    """
    try:
        report = second_wall(connections=connections, calls=calls, profile=_profile(options))
    except OSError as fault:
        raise LoadFailed(f"second wall: {fault.strerror}") from None
    if missing := check_second_wall(report, options.sandbox):
        sys.stderr.write(f"{process}: {options.model}: the second wall lacks {missing}\n")


def check_wall(report: WallReport, sandbox: Sandbox) -> str:
    """What is missing from the wall, for the log. Raises LoadFailed when it may not be missing."""
    return _check(report.missing, sandbox, stands=report.no_new_privs and report.seccomp)


def check_second_wall(report: SecondWallReport, sandbox: Sandbox) -> str:
    """As `check_wall`, of the second."""
    return _check(report.missing, sandbox, stands=report.seccomp)


def _check(missing: tuple[str, ...], sandbox: Sandbox, *, stands: bool) -> str:
    if not stands:
        raise LoadFailed(f"this machine cannot wall it in: {'; '.join(missing)}")
    if missing and sandbox == "required":
        raise LoadFailed(
            f"its walls would lack {'; '.join(missing)}: see 'corral doctor', or set engine.sandbox: best to go without"
        )
    return "; ".join(missing)


def _keep_local_time() -> None:
    """Read the time zone now, by a name: libc looks the file of an unnamed one up again at every strftime, and
    falls back to UTC when a wall forbids that.
    """
    os.putenv("TZ", ":/etc/localtime")
    time.tzset()


def _profile(options: argparse.Namespace) -> DeviceProfile:
    """A preparer, and a worker without layers on a GPU, get the processor's."""
    gpu_layers = getattr(options, "gpu_layers", 0)
    return profile_for(_llama_libraries(), gpu_layers) if gpu_layers else CPU


def _llama_libraries() -> frozenset[str]:
    """The file names of llama.cpp's shared libraries, found without importing any."""
    found = importlib.util.find_spec("llama_cpp")
    folders = found.submodule_search_locations if found is not None else None
    return frozenset(path.name for folder in folders or () for path in Path(folder, "lib").glob("*.so"))
