"""Where does a request's body end? A second reader of its framing, so that the parser's word is not the only one.

Decides on the raw bytes after a head, before the parser sees them. `HttpConnection` gives the parser no
byte beyond the end found here, and closes the connection when the two disagree: a difference in how a
body's end is read is what request smuggling is made of. The rules, stricter than RFC 9112 section 7.1:

 1. A chunk's head is 1 to 8 hexadecimal digits, at most MAX_EXTENSION_BYTES of visible ASCII after a `;`, CRLF.
    llhttp takes 64 KiB of extension a chunk, which no cap on the decoded body sees.
 2. A chunk's data is followed by CRLF at once.
 3. Trailers are at most MAX_TRAILER_BYTES of well-formed fields, none of which frames, routes or authorises.
 4. On the wire a body takes at most twice its decoded size and SLACK_BYTES: enough for a client that flushes
    each of 16,000 single bytes, too little for one that hides megabytes between them.
"""

import re
from collections.abc import Callable
from typing import Protocol

MAX_EXTENSION_BYTES = 256
MAX_TRAILER_BYTES = 1024
SLACK_BYTES = 64 * 1024

_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[\t\x20-\x7e]{0,%d})?\r\n" % (MAX_EXTENSION_BYTES - 1))
_MAX_CHUNK_HEAD_BYTES = 8 + MAX_EXTENSION_BYTES + 2
_TRAILER = re.compile(rb"([!#$%&'*+.^`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*\r\n")
_FORBIDDEN_TRAILERS = frozenset(
    {
        b"authorization", b"connection", b"content-encoding", b"content-length", b"content-type", b"cookie", b"expect",
        b"forwarded", b"host", b"origin", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"x-api-key",
        b"x-forwarded-for",
    }
)  # fmt: skip


class BodyFault(Exception):
    """The framing is broken or out of proportion; `reason` is a stable code for the audit log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BodyFraming(Protocol):
    """Finds a body's end. `done` is true once all of it was taken."""

    done: bool

    def take(self, data: bytes) -> int:
        """How many bytes at the start of `data` belong to the body; not all of them only when it ends there.

        Raises BodyFault.
        """
        ...


class FixedFraming:
    """A body of `length_bytes`, as Content-Length said."""

    def __init__(self, length_bytes: int) -> None:
        self._left_bytes = length_bytes
        self.done = length_bytes == 0

    def take(self, data: bytes) -> int:
        """As BodyFraming."""
        taken_bytes = min(self._left_bytes, len(data))
        self._left_bytes -= taken_bytes
        self.done = self._left_bytes == 0
        return taken_bytes


class ChunkedFraming:
    """A chunked body: lines (chunk heads, the CRLF after data, trailers) and, between them, data."""

    def __init__(self) -> None:
        self._left_bytes = 0  # of the running chunk's data
        self._line = b""  # the beginning of a line whose end has not arrived
        self._read_line: Callable[[bytes], None] = self._read_chunk_head
        self._max_line_bytes = _MAX_CHUNK_HEAD_BYTES
        self._trailer_bytes = 0
        self._decoded_bytes = 0
        self._framing_bytes = 0
        self.done = False

    def take(self, data: bytes) -> int:
        """As BodyFraming."""
        position = 0
        while position < len(data) and not self.done:
            if self._left_bytes:
                step_bytes = min(self._left_bytes, len(data) - position)
                self._left_bytes -= step_bytes
                self._decoded_bytes += step_bytes
            else:
                step_bytes = self._take_part_of_line(data, position)
            position += step_bytes
        return position

    def _take_part_of_line(self, data: bytes, start: int) -> int:
        room_bytes = self._max_line_bytes - len(self._line)
        end = data.find(b"\n", start, start + room_bytes) + 1
        part = data[start : end or start + room_bytes]
        self._line += part
        self._framing_bytes += len(part)
        if self._framing_bytes > self._decoded_bytes + SLACK_BYTES:
            raise BodyFault("chunk_overhead")
        if end:
            line, self._line = self._line, b""
            self._read_line(line)
        elif len(self._line) == self._max_line_bytes:
            raise BodyFault("chunk_line_too_long")
        return len(part)

    def _read_chunk_head(self, line: bytes) -> None:
        match = _CHUNK_HEAD.fullmatch(line)
        if match is None:
            raise BodyFault("chunk_head")
        self._left_bytes = int(match[1], 16)
        if self._left_bytes:
            self._expect(self._read_data_end, 2)
        else:
            self._expect(self._read_trailer, MAX_TRAILER_BYTES)

    def _read_data_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise BodyFault("chunk_data_end")
        self._expect(self._read_chunk_head, _MAX_CHUNK_HEAD_BYTES)

    def _read_trailer(self, line: bytes) -> None:
        if line == b"\r\n":
            self.done = True
            return
        self._trailer_bytes += len(line)
        match = _TRAILER.fullmatch(line)
        if match is None or match[1].lower() in _FORBIDDEN_TRAILERS:
            raise BodyFault("trailer")
        if self._trailer_bytes > MAX_TRAILER_BYTES:
            raise BodyFault("trailer_too_long")

    def _expect(self, read_line: Callable[[bytes], None], max_line_bytes: int) -> None:
        self._read_line = read_line
        self._max_line_bytes = max_line_bytes
