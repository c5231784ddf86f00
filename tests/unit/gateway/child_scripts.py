"""Small programs that tests run as children; each writes what happens to it into a file, line by line."""

import asyncio
import sys
from pathlib import Path

from gateway.supervision.child_process import Command

OBEDIENT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
note("up"); signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, lambda *_: note("ignored"))
note("up")
while True: signal.pause()
"""
SECOND_TERM = """
import signal, sys
told = []
def on(*_):
    note("told"); told.append(1)
    if len(told) == 2: sys.exit(0)
signal.signal(signal.SIGTERM, on)
note("up")
while True: signal.pause()
"""
GATEWAY = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (note("drained"), os._exit(0)))
note("ready")
os.write(READY_FD, b"ready\\n"); os.close(READY_FD)
while True: signal.pause()
"""
NOTE = """
import os
def note(word):
    fd = os.open({notes!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (word + chr(10)).encode()); os.close(fd)
"""


def command(script: str, notes: Path, *, passed_fds: tuple[int, ...] = (), relayed: bool = False) -> Command:
    source = NOTE.format(notes=str(notes)) + script
    return Command(
        name="child",
        argv=(sys.executable, "-S", "-I", "-c", source),
        environment={"LANG": "C.UTF-8"},
        passed_fds=passed_fds,
        relayed=relayed,
    )


def noted(notes: Path) -> list[str]:
    return notes.read_text().split() if notes.exists() else []


async def until_noted(notes: Path, *words: str) -> None:
    """Wait until the children wrote exactly `words`, in order."""
    async with asyncio.timeout(60):
        while noted(notes) != list(words):  # noqa: ASYNC110  # another process: there is nothing to await
            await asyncio.sleep(0.005)
