"""What the keepers of all processes report, written down for the gateways (`gateway.homes.process_notes`)."""

from pathlib import Path

import structlog
from msgspec import structs

from gateway.homes.process_notes import KEPT_DEATHS, DeathNote, ProcessNote, ProcessNotes, write_notes

log = structlog.get_logger("corral.supervisor")


class ProcessLedger:
    """One supervisor's. A file that cannot be written costs what gateways show, never a process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._processes: dict[str, ProcessNote] = {}
        self._deaths: tuple[DeathNote, ...] = ()
        self._is_broken = False
        self._write()  # whatever the supervisor before this one left is over

    def changed(self, note: ProcessNote) -> None:
        """That process is in another state."""
        self._processes[note.process] = note
        self._write()

    def died(self, death: DeathNote) -> None:
        """One more; it gets its number here."""
        number = self._deaths[-1].number + 1 if self._deaths else 1
        self._deaths = (*self._deaths, structs.replace(death, number=number))[-KEPT_DEATHS:]

    def _write(self) -> None:
        try:
            write_notes(self._path, ProcessNotes(processes=tuple(self._processes.values()), deaths=self._deaths))
        except OSError as fault:
            if not self._is_broken:
                log.error("process_notes_not_written", path=str(self._path), cause=fault.strerror)
            self._is_broken = True
        else:
            self._is_broken = False
