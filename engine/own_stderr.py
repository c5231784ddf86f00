"""Keeps what C code prints out of the log."""

import os
import sys
import traceback
from pathlib import Path
from types import TracebackType


def mute_libraries() -> None:
    """Send descriptor 2 to /dev/null, and Python's own stderr to where it went before.

    llama.cpp prints a grammar that it cannot read, and that is a caller's text. Called once the model is
    loaded, so that a failing load can still say why.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    os.close(silent)
    sys.excepthook = _print_type_and_place


def _print_type_and_place(kind: type[BaseException], _fault: BaseException, trace: TracebackType | None) -> None:
    """The last words of a process that ends by a bug. Never the exception's text: it may quote a prompt."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
    sys.stderr.write(f"ended by {kind.__name__} at {' < '.join(reversed(places))}\n")
