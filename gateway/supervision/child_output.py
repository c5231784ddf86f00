"""What engine processes print, as lines of the supervisor's log.

They parse hostile files with C code that prints what it likes, so their output is data, not log lines:
it is cut into bounded lines, stripped of control characters, and logged as a field.
"""

import asyncio
import os

import structlog

log = structlog.get_logger("corral.supervisor")

READ_BYTES = 16 * 1024
LINE_BYTES = 1024


class LineCutter:
    """Cuts bytes into printable lines of at most LINE_BYTES.

    >>> LineCutter().feed(b"one\\r\\ntwo\\x1b[2J\\n...")
    ['one', 'two[2J']
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes; empty ones are dropped."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        return [text for text in map(_printable, lines) if text]

    def last(self) -> str:
        """What came without a line end, at the end."""
        return _printable(self._rest)


class Relay:
    """A pipe whose lines are logged under the name of the child that writes into it; `last_line` is the latest."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.last_line = ""
        self._lines = LineCutter()
        self._loop = asyncio.get_running_loop()
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop.add_reader(self._read_fd, self._read)

    def close_write_end(self) -> None:
        """Once the child has its copy: so that the child's end is the pipe's end."""
        os.close(self.write_fd)

    def close(self) -> None:
        """Stop reading."""
        self._loop.remove_reader(self._read_fd)
        os.close(self._read_fd)

    def _read(self) -> None:
        data = os.read(self._read_fd, READ_BYTES)
        for line in self._lines.feed(data):
            self._log(line)
        if not data:
            self._log(self._lines.last())
            self.close()

    def _log(self, line: str) -> None:
        if line:
            self.last_line = line
            log.info("engine_output", process=self._name, line=line)


def _printable(line: bytes) -> str:
    text = line[:LINE_BYTES].decode("utf-8", "replace")
    return "".join(character for character in text if character.isprintable()).strip()
