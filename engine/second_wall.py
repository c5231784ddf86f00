"""The second wall: what a process gives up once its model is loaded, before it answers the first request.

Behind the first wall (`engine.walls`) a process may still open its model, load libraries and start threads. From
here on it may only compute and talk on what is open. The order is fixed:

 (1) landlock: no right to any file, no TCP, no signal outside, stacked on the first. Below ABI 8 it binds only this
     thread and those it starts; compute threads stay within the first landlock, and within (3)
 (2) limits: no byte into any file (pipes and sockets are none), no process, no core dump, and as many descriptors
     beyond those that are open as there may be connections
 (3) seccomp: `engine.syscall_allowlist`, in every thread

A module that is imported late, or a file that is opened late, fails from now on: import it before
(`engine.serving_imports`). What could not be done is named in `SecondWallReport.missing`.
"""

import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass

from engine import landlock
from engine.device_profile import CPU, DeviceProfile
from engine.syscall_allowlist import load_allow_list
from engine.syscall_filter import filter_library
from engine.walls import device_grants, limit_to, raise_landlock

STDERR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondWallReport:
    """What was applied. `landlock_abi` is 0 when landlock did not bind; `binds_all_threads` tells whether it holds
    for threads that were there before; `descriptor_limit` is the first number that no descriptor can have.
    """

    landlock_abi: int
    binds_all_threads: bool
    descriptor_limit: int
    seccomp: bool
    missing: tuple[str, ...] = ()


def second_wall(*, connections: int, calls: Iterable[str], profile: DeviceProfile = CPU) -> SecondWallReport:
    """Raise the second wall around this process, which stands behind the first; it cannot be taken down again.

    `connections` more descriptors may be opened, `calls` be made. Raises OSError when there is no room for them.
    """
    missing: list[str] = []
    abi = raise_landlock(device_grants(profile), missing)
    limit = _lower_limits(connections, keeps_threads=not profile.is_cpu)
    return SecondWallReport(
        landlock_abi=abi,
        binds_all_threads=abi >= landlock.ALL_THREADS_ABI,
        descriptor_limit=limit,
        seccomp=_load_seccomp((*calls, *profile.syscalls), profile, missing),
        missing=tuple(missing),
    )


def _lower_limits(connections: int, *, keeps_threads: bool) -> int:
    descriptors = _room_for(connections)
    limit_to(resource.RLIMIT_FSIZE, 0)
    limit_to(resource.RLIMIT_CORE, 0)
    if not keeps_threads:
        limit_to(resource.RLIMIT_NPROC, 0)  # counts threads too; root is not bound by it
    limit_to(resource.RLIMIT_NOFILE, descriptors)
    return descriptors


def _room_for(connections: int) -> int:
    """The limit that leaves `connections` numbers free: the kernel hands out the lowest, so it is asked for them.

    Counting in /proc/self/fd would need it readable, which the first wall forbids.
    """
    taken = [os.dup(STDERR) for _ in range(connections)]  # a fault ends the process, and them with it
    for descriptor in taken:
        os.close(descriptor)
    return max(taken) + 1


def _load_seccomp(calls: Iterable[str], profile: DeviceProfile, missing: list[str]) -> bool:
    try:
        load_allow_list(filter_library(), calls, has_devices=not profile.is_cpu)
    except (ImportError, RuntimeError, OSError) as fault:
        missing.append(f"seccomp of the second wall ({fault})")
        return False
    return True
