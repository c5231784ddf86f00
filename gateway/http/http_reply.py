"""The answer on its way out, as bytes of HTTP/1.1 on a transport. Knows no HTTP library.

What every reply carries is put in here, so that no route can forget it: `Cache-Control: no-store` (but for IMMUTABLE),
`X-Content-Type-Options: nosniff`, `Strict-Transport-Security` under TLS, `Date`; never `Server`.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from gateway.incoming import ClientGone

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 section 5.5: no controls; a CR or LF here would be a second response.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# Decided here alone. A caller's `Connection` can only ask for close.
_OURS = frozenset({"cache-control", "connection", "date", "server", "strict-transport-security", "transfer-encoding",
                   "x-content-type-options", "x-padding"})  # fmt: skip
IMMUTABLE = "public, max-age=31536000, immutable"
"""The one Cache-Control that a caller may ask for: of a body whose address changes with its content (RFC 8246)."""
# Two years, the floor of the browsers' preload lists. No includeSubDomains: neighbours are not ours.
_HSTS = "max-age=63072000"


class Link(Protocol):
    """The connection as a reply needs it."""

    transport: asyncio.Transport | None

    @property
    def writing_paused(self) -> bool:
        """True while the transport's buffer is above its high-water mark."""
        ...

    async def drained(self) -> None:
        """Return once the client has read enough. Raises ConnectionError when it is gone."""
        ...


class HttpReply:
    """One answer. Whoever starts it must end it: an answer not ended is cut, so it never looks whole.

    `may_persist` is asked once, at the start: may the connection live on? A caller that wants it
    closed passes `Connection: close`.
    """

    def __init__(
        self,
        link: Link,
        *,
        http_version: tuple[int, int],
        head_only: bool,
        tls: bool,
        write_timeout_s: float,
        may_persist: Callable[[], bool],
    ) -> None:
        self._link = link
        self._http_version = http_version
        self._head_only = head_only
        self._tls = tls
        self._write_timeout_s = write_timeout_s
        self._may_persist = may_persist
        self._pending_head = b""
        self._bodyless = head_only
        self._left_bytes: int | None = None  # what a fixed length still owes
        self._chunked = False
        self.started = False
        self.ended = False
        self.keep_alive = False

    @property
    def shows_its_end(self) -> bool:
        """False for a body that lasts until the connection closes (HTTP/1.0 without a length)."""
        return self._chunked or self._bodyless or self._left_bytes is not None

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send status and headers; with a fixed length the head leaves with the first part of the body.

        `X-Padding: 1024 4096` is sent filled so that the whole head has the first of these sizes that it fits.

        Raises ClientGone, and ValueError for a header that could not be sent as one.
        """
        if self.started:
            raise RuntimeError("the reply was started before")
        given = list(headers)
        wants_close = any(name.lower() == "connection" and value.lower() == "close" for name, value in given)
        omitted = _OURS | {"content-length"} if status == 204 else _OURS  # RFC 9110 section 8.6
        lines = [f"{name}: {value}" for name, value in map(_checked, given) if name.lower() not in omitted]
        length = next((int(value) for name, value in given if name.lower() == "content-length"), None)
        self._bodyless = self._head_only or status in {204, 304}
        self._left_bytes = length
        self._chunked = length is None and not self._bodyless and self._http_version >= (1, 1)
        self.keep_alive = self.shows_its_end and not wants_close and self._may_persist()
        kept = any(name.lower() == "cache-control" and value == IMMUTABLE for name, value in given)
        lines = [_status_line(status), *lines, *self._own_lines(IMMUTABLE if kept else "no-store")]
        sizes = next((value for name, value in given if name.lower() == "x-padding"), "")
        head = "\r\n".join([*lines, *_padding(lines, sizes), "\r\n"]).encode("latin-1")
        self.started = True
        if length is not None and not self._bodyless:
            self._pending_head = head
        else:
            self._send(head)

    def _own_lines(self, keeping: str) -> list[str]:
        date = f"Date: {_http_date(int(time.time()))}"
        lines = [date, f"Cache-Control: {keeping}", "X-Content-Type-Options: nosniff"]
        if self._tls:
            lines.append(f"Strict-Transport-Security: {_HSTS}")
        if self._chunked:
            lines.append("Transfer-Encoding: chunked")
        if not self.keep_alive:
            lines.append("Connection: close")
        elif self._http_version == (1, 0):
            lines.append("Connection: keep-alive")
        return lines

    async def write(self, data: bytes) -> None:
        """Send part of the body; waits while the client reads slowly. Raises ClientGone."""
        if not self.started or self.ended:
            raise RuntimeError("write outside of start and end")
        if self._left_bytes is not None and not self._bodyless:
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                raise ValueError("more body than Content-Length")
        if not data or self._bodyless:
            return
        head, self._pending_head = self._pending_head, b""
        self._send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else head + data)
        await self._drain()

    async def end(self) -> None:
        """Finish the body. Raises ClientGone, and ValueError when the promised length was not reached."""
        if not self.started or self.ended:
            raise RuntimeError("end outside of a started reply")
        if self._left_bytes and not self._bodyless:
            raise ValueError("less body than Content-Length")
        rest = b"0\r\n\r\n" if self._chunked else self._pending_head
        if rest:
            self._send(rest)
        self.ended = True
        await self._drain()

    def closed(self) -> bool:
        """True when the client's side of the connection is gone."""
        return self._link.transport is None or self._link.transport.is_closing()

    def _send(self, data: bytes) -> None:
        transport = self._link.transport
        if transport is None or transport.is_closing():
            raise ClientGone
        transport.write(data)

    async def _drain(self) -> None:
        """Back-pressure. A client that takes nothing for `write_timeout_s` is dropped (slow read)."""
        transport = self._link.transport
        if transport is None or not self._link.writing_paused:
            return
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await self._link.drained()
        except TimeoutError:
            transport.abort()
            raise ClientGone from None
        except ConnectionError:
            raise ClientGone from None
        if self.closed():
            raise ClientGone


def _checked(header: tuple[str, str]) -> tuple[str, str]:
    if not _NAME.fullmatch(header[0]) or not _VALUE.fullmatch(header[1]):
        raise ValueError(f"header {header[0]!r} cannot be sent")
    return header


def _padding(lines: list[str], sizes: str) -> list[str]:
    """What makes the head of `lines` as large as the first of `sizes` (numbers of bytes) that it fits."""
    bare_bytes = sum(len(line) + 2 for line in (*lines, "X-Padding: ", ""))
    fitting = (int(size) - bare_bytes for size in sizes.split() if int(size) >= bare_bytes)
    return [f"X-Padding: {'.' * next(fitting, 0)}"] if sizes else []


def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"


@lru_cache(maxsize=2)
def _http_date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)
