"""What the supervisor writes down of engine processes, for the audit log, `corral status` and the metrics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from gateway.homes.process_notes import ProcessNote, read_notes

Note = Callable[[str, dict[str, str | int | float | bool]], None]


class WorkerDeaths:
    """Tells of each death once. What had died before this gateway started, the gateways before it have told."""

    def __init__(self, path: Path, note: Note) -> None:
        self._path = path
        self._note = note
        self._facts = _facts(path)
        self._notes = read_notes(path)
        self._heard = self._last()
        self._tell: Callable[[], None] = lambda: None

    def subscribe(self, tell: Callable[[], None]) -> None:
        """`tell` is called after each look that found something new."""
        self._tell = tell

    def look(self) -> None:
        """Tell what is new; reads the file only when it has changed."""
        facts = _facts(self._path)
        if facts == self._facts:
            return
        self._facts, self._notes = facts, read_notes(self._path)
        if self._last() < self._heard:  # another supervisor's, which counts anew
            self._heard = 0
        for death in self._notes.deaths:
            if death.number > self._heard:
                details = to_builtins(death)
                del details["at_s"]
                self._note("worker.died", details)
        self._heard = self._last()
        self._tell()

    def count(self, process: str) -> int | None:
        """How often that process has died by now; None where no supervisor has written anything of it."""
        self.look()
        return next((sum(each.deaths.values()) for each in self.processes() if each.process == process), None)

    def processes(self) -> tuple[ProcessNote, ...]:
        """All of them, as last looked at."""
        return self._notes.processes

    def shown(self) -> list[dict[str, Any]]:
        """All of them for operators, as they are now."""
        self.look()
        return [to_builtins(each) for each in self.processes()]

    def _last(self) -> int:
        return self._notes.deaths[-1].number if self._notes.deaths else 0


def _facts(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
