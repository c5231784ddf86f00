"""How commands answer: text for people, JSON with --json; one line on stderr for a fault."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

BAD_INPUT = 2
FAILED = 1

Command = Callable[[argparse.Namespace], int]


class CommandFault(Exception):
    """A command cannot go on. The message is one line: what, where, and the remedy."""

    def __init__(self, message: str, *, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class ReaderGone(Exception):
    """Nobody reads what the command says any more, as in `corral keys list | head -1`."""


def say(text: str, end: str = "\n") -> None:
    """Print `text` at once. Raises ReaderGone, or CommandFault when what stdout leads to takes no more."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as fault:
        abandon_output()
        raise CommandFault(f"cannot write to standard output: {fault.strerror}") from None


def abandon_output() -> None:
    """Let stdout lead nowhere, so that what is still buffered is no second fault when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):  # no descriptor: nothing is flushed into it either
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def emit(arguments: argparse.Namespace, data: Any, text: str) -> None:
    """Print `data` as JSON when --json was given, else `text`."""
    if arguments.json:
        say(json.dumps(data, ensure_ascii=True, sort_keys=True))
    elif text:
        say(text)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows in aligned columns under `head`, for terminals."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def complain(fault: CommandFault) -> int:
    """Print the fault's one line on stderr and return its exit status."""
    print(f"corral: {' '.join(str(fault).split())}", file=sys.stderr)
    return fault.status
