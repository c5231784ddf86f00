"""HOME/run: the sockets, plan and pid file of what runs now. Private, and safe to delete when stopped."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

PID_FILE = "supervisor.pid"
PLAN_FILE = "plan.json"
LOADER_SOCKET = "loader.sock"
PROCESSES_FILE = "processes.json"
VERIFIED_FILE = "verified.json"


class RunFolderFault(Exception):
    """The folder cannot be used; the message is one line with the remedy."""


def open_run_folder(path: Path) -> Path:
    """`path`, made when missing, mode 0700 and ours. Raises RunFolderFault."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
            # Whoever owns the folder could put sockets of their own in place of the engine's.
            raise RunFolderFault(f"{path} is not a folder of this user: remove it, it is made again")
        path.chmod(0o700)
    except OSError as fault:
        raise RunFolderFault(f"cannot make {path}: {fault.strerror}") from None
    return path


@contextlib.contextmanager
def only_supervisor(folder: Path) -> Iterator[None]:
    """Be the one supervisor of this home for the block, with our pid in the pid file. Raises RunFolderFault.

    The file stays: the lock is on its inode, so removing it would let two supervisors each hold one. Whether
    the pid in it still runs is told by the lock alone.
    """
    path = folder / PID_FILE
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as fault:
        raise RunFolderFault(f"cannot open {path}: {fault.strerror}") from None
    try:
        _lock(descriptor, folder)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        for left in folder.glob("*.sock"):  # of an earlier plan: nobody listens there any more
            left.unlink()
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(descriptor, 32).decode("ascii", "replace").strip()
        raise RunFolderFault(
            f"Corral already serves {folder.parent} (process {pid}): stop it with 'kill {pid}', or use another --home"
        ) from None
