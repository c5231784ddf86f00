"""Keeps what C code prints out of the log."""

import os
import sys


def mute_libraries() -> None:
    """Send descriptor 2 to /dev/null, and Python's own stderr to where it went before.

    llama.cpp prints a grammar that it cannot read, and that is a caller's text. Called once the model is
    loaded, so that a failing load can still say why.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    os.close(silent)
