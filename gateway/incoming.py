"""What a listener hands to the request flow, and what the flow answers through.

Nothing behind these two protocols knows an aiohttp type, so a leaner listener can replace aiohttp's
handler, and tests drive the flow without a socket.
"""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from policies.access import ListenerName
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.credential import SessionCredential

Header = tuple[bytes, bytes]


class TlsFacts(Struct, frozen=True):
    """What the handshake settled; `client_certificate` is None where none was asked for or shown."""

    version: str
    cipher: str
    server_name: str = ""
    client_certificate: ClientCertificate | None = None


class Incoming(Protocol):
    """One request as it came: nothing decoded, nothing trusted.

    `target` is the raw request target, `headers` the raw pairs in order, `peer` the address of the
    socket's other end as text, `local` that of ours, empty where it has none. `via` is the trusted proxy whose
    PROXY header named the peer; empty without one. `session` is the console's session whose page handed the request
    on; None for whatever came over a socket.
    """

    method: str
    target: str
    headers: tuple[Header, ...]
    http_version: tuple[int, int]
    peer: str
    via: str
    local: str
    listener: ListenerName
    tls: TlsFacts | None
    session: SessionCredential | None

    async def read_body(self, limit_bytes: int, deadline_s: float) -> bytes:
        """The whole body. Raises BodyTooLarge, BodyTooSlow, or EdgeRejected for broken framing."""
        ...


class Reply(Protocol):
    """The answer on its way out. `started` is true once the status line was sent."""

    started: bool

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send status and headers. A `Content-Length` header makes the body fixed, else it is chunked."""
        ...

    async def write(self, data: bytes) -> None:
        """Send part of the body; waits while the client reads slowly. Raises ClientGone."""
        ...

    async def end(self) -> None:
        """Finish the body."""
        ...

    def closed(self) -> bool:
        """True when the client's side of the connection is gone."""
        ...


class ClientGone(Exception):
    """The client closed the connection while it was answered."""
