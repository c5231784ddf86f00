"""One request with its reply, as aiohttp's loop carries it: the bridge to `Incoming` and `Reply`."""

from typing import Protocol

from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gateway.http.body_budget import BodyBudget
from gateway.http.http_incoming import Head, HttpIncoming, Origin
from gateway.http.http_reply import HttpReply, Link
from gateway.incoming import ClientGone


class Connection(Link, Protocol):
    """The connection as an exchange needs it: `gateway.http.http_connection.HttpConnection`."""

    origin: Origin
    bodies: BodyBudget
    write_timeout_s: float

    @property
    def is_closing(self) -> bool:
        """True when no further request will be read."""
        ...


class HttpExchange:
    """In the place where aiohttp expects its request object."""

    __slots__ = ("_connection", "_message", "_task", "incoming", "payload", "reply")

    def __init__(self, connection: Connection, message: RawRequestMessage, payload: StreamReader) -> None:
        self._connection = connection
        self._message = message
        self.payload = payload
        version = (message.version.major, message.version.minor)
        head = Head(message.method, message.path, tuple(message.raw_headers), version)
        body = None if payload is EMPTY_PAYLOAD else payload
        self.incoming = HttpIncoming(connection, connection.origin, head, body, connection.bodies.claim())
        self.reply = HttpReply(
            connection,
            http_version=version,
            head_only=message.method == "HEAD",
            tls=connection.origin.tls is not None,
            write_timeout_s=connection.write_timeout_s,
            may_persist=self._may_persist,
        )

    @property
    def may_send_more(self) -> bool:
        """True when the client has not sent all of it, or did not ask for the end: bytes may be on their way."""
        return not (self.payload.is_eof() and self._message.should_close)

    def _may_persist(self) -> bool:
        """After an upgrade request, or before the end of a body, the next bytes are not surely a request."""
        ends = self._message.should_close or self._message.upgrade or self._connection.is_closing
        return not (ends or self.incoming.body_left)

    def _cancel(self, _fault: BaseException) -> None:
        """Called by aiohttp when the connection is lost."""
        self.payload.set_exception(ClientGone())


async def answer_fixed(reply: HttpReply, status: int, body: bytes, request_id: str) -> None:
    """An answer with nothing of the request in it, and the end of the connection."""
    try:
        length = ("Content-Length", str(len(body)))
        close = ("Connection", "close")
        await reply.start(status, (("Content-Type", "application/json"), length, close, ("X-Request-Id", request_id)))
        await reply.write(body)
        await reply.end()
    except ClientGone:
        pass
