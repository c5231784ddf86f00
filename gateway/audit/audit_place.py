"""A gateway's place in the log: `audit/HOST-0/` and up, one chain each, held by a lock on a file in it.

A restarted gateway finds its old place free and goes on in its own chain. One that starts while the
old one still drains takes the next place. The lock is the kernel's (flock): it ends with the process
however that ends, so there is no stale lock to clear by hand.
"""

import contextlib
import fcntl
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

MAX_PLACES = 64
"""Far more than gateways on one host; a bound so that a broken folder cannot make the search endless."""
LOCK_NAME = "lock"


class NoPlace(Exception):
    """No place could be had; the message is one line with the remedy."""


@dataclass(frozen=True, slots=True)
class Place:
    """A held place. `name` is the instance that the records carry; `close` gives the place back."""

    folder: Path
    name: str
    lock_descriptor: int

    def close(self) -> None:
        os.close(self.lock_descriptor)


def this_host() -> str:
    """The machine's name as it may stand in a path: lower case letters, digits, '.' and '-'."""
    name = re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower()).strip(".-")
    return name[:63] or "host"


def hold_place(audit: Path, host: str) -> Place:
    """The lowest free place under the folder `audit`, made if it is new. Raises NoPlace."""
    try:
        audit.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(MAX_PLACES):
            place = _try_place(audit / f"{host}-{number}")
            if place is not None:
                return place
    except OSError as fault:
        raise NoPlace(f"cannot use the audit folder {audit}: {fault.strerror}: make it writable for Corral") from None
    raise NoPlace(f"all {MAX_PLACES} places of {host} in {audit} are held: stop the gateways that hold them")


def hold_chain(folder: Path) -> Place | None:
    """The place of a chain that is there already; None while another process holds it. Raises OSError."""
    return _try_place(folder)


def _try_place(folder: Path) -> Place | None:
    """The place, or None when another process holds it. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        undo.pop_all()
    return Place(folder, folder.name, descriptor)
