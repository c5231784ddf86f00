"""A request as it came, and its body on demand. Knows no HTTP library.

A body is read only when somebody asks for it: until then no `100 Continue` is sent, and the answer to
a request whose body was not taken closes the connection.
"""

import asyncio
from typing import NamedTuple, Protocol

from gateway.http.http_reply import Link
from gateway.incoming import ClientGone, Header, ListenerName, TlsFacts
from policies.errors import BodyTooLarge, BodyTooSlow, EdgeRejected


class BrokenFraming(Exception):
    """The body's framing is broken: chunk syntax, or bytes after its end that are no request."""


class Payload(Protocol):
    """The body as the parser delivers it. `readany` raises BrokenFraming or ClientGone."""

    async def readany(self) -> bytes:
        """Whatever has arrived; waits for the first byte."""
        ...

    def at_eof(self) -> bool:
        """True when the body is complete and taken."""
        ...


class Head(NamedTuple):
    """Request line and headers, raw."""

    method: str
    target: str
    headers: tuple[Header, ...]
    http_version: tuple[int, int]


class Origin:
    """Where a connection comes from: settled by the listener and the handshake, once for all its requests."""

    __slots__ = ("listener", "peer", "tls")

    def __init__(self, peer: str, listener: ListenerName, tls: TlsFacts | None) -> None:
        self.peer = peer
        self.listener = listener
        self.tls = tls


class HttpIncoming:
    """One request. `payload` is None when no body follows."""

    def __init__(self, link: Link, origin: Origin, head: Head, payload: Payload | None) -> None:
        self.method, self.target, self.headers, self.http_version = head
        self.peer = origin.peer
        self.listener = origin.listener
        self.tls = origin.tls
        self._link = link
        self._payload = payload
        self.body_left = payload is not None

    async def read_body(self, limit_bytes: int, deadline_s: float) -> bytes:
        """The whole body, once. `deadline_s` is in seconds from now.

        Raises BodyTooLarge (before reading when Content-Length says so), BodyTooSlow, EdgeRejected for
        broken framing, ClientGone.
        """
        if self._payload is None:
            return b""
        if self._declared_bytes() > limit_bytes:
            raise BodyTooLarge("content_length_over_cap", limit_bytes=limit_bytes)
        self._send_continue()
        try:
            async with asyncio.timeout(deadline_s):
                body = await self._read_all(self._payload, limit_bytes)
        except TimeoutError:
            raise BodyTooSlow("body_deadline") from None
        except BrokenFraming:
            raise EdgeRejected("body_framing") from None
        self._payload, self.body_left = None, False
        return body

    async def _read_all(self, payload: Payload, limit_bytes: int) -> bytes:
        parts: list[bytes] = []
        size_bytes = 0
        while not payload.at_eof():
            if self._link.transport is None:
                raise ClientGone
            parts.append(await payload.readany())
            size_bytes += len(parts[-1])
            if size_bytes > limit_bytes:
                raise BodyTooLarge("body_over_cap", limit_bytes=limit_bytes)
        return b"".join(parts)

    def _declared_bytes(self) -> int:
        return next((int(value) for name, value in self.headers if name.lower() == b"content-length"), 0)

    def _send_continue(self) -> None:
        """Only now is the client told to send (RFC 9110 section 10.1.1); never to HTTP/1.0."""
        expects = any(name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in self.headers)
        if expects and self.http_version >= (1, 1) and self._link.transport is not None:
            self._link.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
