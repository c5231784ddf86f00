"""Runs a long command with its output in a log file, and shows how far it is."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from setup.faults import SetupFault

TICK_S = 0.5
STOP_S = 10.0  # for each way of asking
LINE_EVERY_S = 15.0  # without a terminal
TAIL_BYTES = 64 * 1024
_NINJA_STEP = re.compile(r"\[(\d+)/(\d+)\]")
_PIP_STEP = re.compile(r"^\s*(Collecting|Downloading|Building wheel for|Installing collected) ?([\w.-]*)", re.MULTILINE)


def run_logged(title: str, command: Sequence[str | Path], log: Path, environment: dict[str, str]) -> None:
    """Run `command` to its end; its output is added to `log`. Raises SetupFault with the log's name.

    The command is a process group of its own, so that an interrupt reaches everything it started exactly once.
    """
    with log.open("ab") as output:
        started_at = output.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            process_group=0,
        )
    shown = ProgressLine(title, sys.stdout)
    try:
        while not _ended(process):
            shown.update(lambda: read_step(_tail(log, started_at)))
    finally:
        stop_group(process)
    shown.close()
    if process.returncode != 0:
        raise SetupFault(f"{title} failed: {last_error(_tail(log, started_at))} (everything it said: {log})")


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started, unless it has ended: first as Ctrl-C would, so that pip clears up."""
    if process.poll() is not None:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        os.killpg(process.pid, number)
        if _ended(process, STOP_S):
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it started and did not end
    process.wait()


def _ended(process: subprocess.Popen[bytes], timeout_s: float = TICK_S) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _tail(log: Path, started_at: int) -> str:
    with log.open("rb") as output:
        output.seek(max(started_at, output.seek(0, os.SEEK_END) - TAIL_BYTES))
        return output.read().decode(errors="replace")


def read_step(output: str) -> str:
    """The step the output last told of: ninja's `[n/m]`, else pip's words, else nothing."""
    last_pip = max(_PIP_STEP.finditer(output), key=lambda match: match.start(), default=None)
    last_ninja = max(_NINJA_STEP.finditer(output), key=lambda match: match.start(), default=None)
    if last_ninja and (last_pip is None or last_ninja.start() > last_pip.start()):
        return f"compiling {last_ninja[1]} of {last_ninja[2]}"
    return f"{last_pip[1].lower()} {last_pip[2]}".strip() if last_pip else ""


def last_error(output: str) -> str:
    """The line that says best what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "no output")


class ProgressLine:
    """One line that is written over on a terminal; a line each 15 s anywhere else."""

    def __init__(self, title: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._stream = stream
        self._clock = clock
        self._terminal = stream.isatty()
        self._step = ""
        self._started_s = self._shown_s = clock()
        self._write(f"{title} ...")

    def update(self, read: Callable[[], str]) -> None:
        """Show the time that has passed, and the step that `read` finds; called only when it will be shown."""
        now_s = self._clock()
        if not self._terminal and now_s - self._shown_s < LINE_EVERY_S:
            return
        self._shown_s = now_s
        self._step = read() or self._step
        minutes, seconds = divmod(int(now_s - self._started_s), 60)
        self._write(f"{self._title} ... {minutes}:{seconds:02d} {self._step}".rstrip())

    def close(self) -> None:
        """Leave the last line standing."""
        seconds = self._clock() - self._started_s
        self._write(f"{self._title}: done in {seconds:.0f} s")
        if self._terminal:
            self._stream.write("\n")
            self._stream.flush()

    def _write(self, text: str) -> None:
        if self._terminal:
            text = f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}"
        self._stream.write(text if self._terminal else f"{text}\n")
        self._stream.flush()
