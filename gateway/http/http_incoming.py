"""A request as it came, and its body on demand. Knows no HTTP library.

A body is read only when somebody asks for it: until then no `100 Continue` is sent, and the answer to
a request whose body was not taken closes the connection.
"""

import asyncio
import sys
from typing import NamedTuple, Protocol

from gateway.http.body_budget import BodyBudget, BodyClaim
from gateway.http.http_reply import Link
from gateway.incoming import ClientGone, Header, TlsFacts
from policies.access import ListenerName
from policies.credentials.credential import SessionCredential
from policies.errors import BodyTooLarge, BodyTooSlow, EdgeRejected


class BrokenFraming(Exception):
    """The body's framing is broken: chunk syntax, or bytes after its end that are no request."""


class Payload(Protocol):
    """The body as the parser delivers it. `readany` raises BrokenFraming or ClientGone."""

    async def readany(self) -> bytes:
        """Whatever has arrived; waits for the first byte. Empty when the body is complete and taken."""
        ...


# A body must keep up with this once its grace is over (RFC 9110 sets none; nginx and Envoy have only deadlines).
MIN_RATE_BYTES_PER_S = 1024
GRACE_S = 5.0


class Head(NamedTuple):
    """Request line and headers, raw."""

    method: str
    target: str
    headers: tuple[Header, ...]
    http_version: tuple[int, int]


class Origin:
    """Where a connection comes from: settled by the listener and the handshake, once for all its requests."""

    __slots__ = ("listener", "local", "peer", "tls", "via")

    def __init__(self, peer: str, listener: ListenerName, tls: TlsFacts | None, local: str = "") -> None:
        self.peer = peer
        self.via = ""  # the proxy whose PROXY header named the peer
        self.local = local
        self.listener = listener
        self.tls = tls


class HttpIncoming:
    """One request. `payload` is None when no body follows."""

    def __init__(
        self, link: Link, origin: Origin, head: Head, payload: Payload | None, claim: BodyClaim | None = None
    ) -> None:
        self.method, self.target, self.headers, self.http_version = head
        self.peer = origin.peer
        self.via = origin.via
        self.local = origin.local
        self.listener = origin.listener
        self.tls = origin.tls
        self.session: SessionCredential | None = None  # no byte of a client's makes one
        self._link = link
        self._payload = payload
        self._claim = claim or BodyBudget(sys.maxsize).claim()
        self.body_left = payload is not None
        self.body_overdue = False

    async def read_body(self, limit_bytes: int, deadline_s: float) -> bytes:
        """The whole body, once. `deadline_s` is in seconds from now.

        Raises BodyTooLarge (before reading when Content-Length says so), BodyTooSlow, Overloaded when bodies take
        all the memory they may, EdgeRejected for broken framing, ClientGone.
        """
        if self._payload is None:
            return b""
        declared_bytes = self._declared_bytes()
        if declared_bytes > limit_bytes:
            raise BodyTooLarge("content_length_over_cap", limit_bytes=limit_bytes)
        self._claim.expect(declared_bytes)
        self._send_continue()
        try:
            body = await self._read_all(self._payload, limit_bytes, deadline_s)
        except BrokenFraming:
            raise EdgeRejected("body_framing") from None
        self._payload, self.body_left = None, False
        return body

    def let_go(self) -> None:
        """The request is over; what its body held is free."""
        self._claim.let_go()

    async def _read_all(self, payload: Payload, limit_bytes: int, deadline_s: float) -> bytes:
        start_s = asyncio.get_running_loop().time()
        parts: list[bytes] = []
        size_bytes = 0
        try:
            async with asyncio.timeout_at(start_s + min(deadline_s, GRACE_S)) as timer:
                while part := await payload.readany():
                    if self._link.transport is None:
                        raise ClientGone
                    parts.append(part)
                    size_bytes += len(part)
                    if size_bytes > limit_bytes:
                        raise BodyTooLarge("body_over_cap", limit_bytes=limit_bytes)
                    self._claim.take(len(part))
                    timer.reschedule(start_s + min(deadline_s, GRACE_S + size_bytes / MIN_RATE_BYTES_PER_S))
        except TimeoutError:
            self.body_overdue = True
            raise BodyTooSlow("body_deadline") from None
        return b"".join(parts)

    def _declared_bytes(self) -> int:
        return next((int(value) for name, value in self.headers if name.lower() == b"content-length"), 0)

    def _send_continue(self) -> None:
        """Only now is the client told to send (RFC 9110 section 10.1.1); never to HTTP/1.0."""
        expects = any(name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in self.headers)
        if expects and self.http_version >= (1, 1) and self._link.transport is not None:
            self._link.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
