"""The home's lock: who may change its state.

Gateways hold it shared, since one that drains and the one that follows it run side by side; a command
that changes state while no gateway runs holds it alone. The kernel frees it with the process, so a
crash leaves no lock behind. Processes started by the holder do not inherit it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.homes.home import Home

POLL_S = 0.05


class HomeInUse(Exception):
    """Another process holds the home; the message says which and what to do."""


@contextmanager
def hold_home(home: Home, *, shared: bool, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of `home` for the block. Blocks up to `wait_s`, then raises HomeInUse; OSError else."""
    descriptor = os.open(home.lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline_s = time.monotonic() + wait_s
        while not _locked(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            if time.monotonic() >= deadline_s:
                raise HomeInUse(
                    f"another Corral process holds {home.path}, starting, stopping or changing it: "
                    "try again in a moment"
                )
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
