"""Whether a file that this process holds open still lies where others look for it."""

import os
from pathlib import Path

from policies.errors import PolicyUnavailable

State = tuple[int, int]


class PlacedFile:
    """A file at its path since this was made.

    An open descriptor goes on reading and writing a file that was deleted or replaced: what others write to the path
    is never heard, and what is written here is gone at the next start. Asked by `stat`, never opened: closing it
    would drop SQLite's own locks on it (sqlite.org/howtocorrupt.html, section 2.2).
    """

    def __init__(self, path: Path, called: str) -> None:
        """`called` begins the reasons of all refusals. Raises PolicyUnavailable when nothing is there."""
        self._path = path
        self._called = called
        self._place, self.first = self._look()

    def require_same(self) -> State:
        """The file's size and the time of its last change. Raises PolicyUnavailable when it is gone or another."""
        place, state = self._look()
        if place != self._place:
            raise PolicyUnavailable(f"{self._called}_replaced")
        return state

    def _look(self) -> tuple[tuple[int, int], State]:
        """Where the file lies (device, inode), and its state."""
        try:
            found = self._path.stat()
        except OSError as cause:
            raise PolicyUnavailable(f"{self._called}_away") from cause
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise PolicyUnavailable(f"{self._called}_unreadable")
        return (found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns)
