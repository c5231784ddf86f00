"""HOME/run/processes.json: how the engine processes are and how they died, from the supervisor to the gateways.

Written whole and put in place by a rename, so that a reader never sees half of it.
"""

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.death import DeathKind
from engine.process_states import State

KEPT_DEATHS = 64
"""More than die between two looks of a gateway, one a second."""


class ProcessNote(Struct, frozen=True, kw_only=True):
    """One process: its state since `since_s`, the pid it has or had, how often it died of what, and the last cause."""

    process: str
    state: State = "stopped"
    since_s: float = 0.0
    pid: int = 0
    deaths: dict[DeathKind, int] = {}
    cause: str = ""


class DeathNote(Struct, frozen=True, kw_only=True):
    """One death. `number` counts all of this supervisor, from 1; `at_s` is Unix time, `lived_s` what it ran."""

    number: int
    process: str
    pid: int
    kind: DeathKind
    cause: str
    at_s: float
    lived_s: float
    quarantined: bool = False


class ProcessNotes(Struct, frozen=True, kw_only=True):
    """All processes, and the last deaths, the oldest first."""

    processes: tuple[ProcessNote, ...] = ()
    deaths: tuple[DeathNote, ...] = ()


def write_notes(path: Path, notes: ProcessNotes) -> None:
    """Put `notes` at `path`, for this user alone. Raises OSError."""
    beside = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(notes))
    beside.replace(path)


def read_notes(path: Path) -> ProcessNotes:
    """What is at `path`; nothing where there is no such file, or none of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ProcessNotes)
    except (OSError, msgspec.MsgspecError):
        return ProcessNotes()
