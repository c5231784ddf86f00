"""From bytes to requests: aiohttp's parser, fed one head or one body at a time.

The wire is cut here, by a reader of our own: a head ends at the first empty line, a body where
`body_framing` says. The parser gets a piece only when it has to be the next thing it reads, so that
a head's clock and size, a body's share of framing and the number of requests read ahead are exact, and
two readers must agree on every boundary. A difference, a fault of either or a bound that is broken ends in
one 400 and the end of the connection; what follows on the wire is never looked at.
"""

import asyncio
from typing import Any

from aiohttp import http_parser
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from aiohttp.web_server import Server

from gateway.configuration.settings import ListenSettings
from gateway.http.body_framing import BodyFault, BodyFraming, ChunkedFraming, FixedFraming
from gateway.http.head_bounds import (
    MAX_FIELD_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_LINE_BYTES,
    HeadBounds,
    HeadTooLong,
)
from gateway.http.http_incoming import BrokenFraming

# Requests parsed ahead on one connection: each may hold a whole head (aiohttp: 32).
MAX_PIPELINED = 2
READ_BUFFER_BYTES = 64 * 1024
# How long what follows a refusal is thrown away, so that the client reads our answer, not a reset.
LINGER_S = 2.0

_HEAD_END = b"\r\n\r\n"


class HttpWire(RequestHandler):
    """The reading half of one connection."""

    __slots__ = ("_ahead", "_body", "_broken", "_framing", "_head", "_head_tail", "_last", "settings")

    def __init__(self, server: Server, settings: ListenSettings) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=settings.idle_timeout_s,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to switch it off
            lingering_time=LINGER_S,
        )
        self._parser = http_parser.HttpRequestParser(
            self,
            loop,
            READ_BUFFER_BYTES,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_HEAD_BYTES,  # its own count of a field depends on where the network cuts the name
            max_headers=MAX_HEADERS,
            payload_exception=BrokenFraming,
            auto_decompress=False,
            max_msg_queue_size=MAX_PIPELINED,
        )
        self._max_msg_queue_size = MAX_PIPELINED
        self._msg_queue_resume_size = MAX_PIPELINED // 2
        self.settings = settings
        self._head = HeadBounds(loop, settings.header_timeout_s, self._head_overdue)
        self._head_tail = b""  # the end of what the parser has of a head: an empty line may stand across two reads
        self._body: StreamReader = EMPTY_PAYLOAD  # of the newest request
        self._framing: BodyFraming = FixedFraming(0)
        self._ahead = b""  # bytes whose turn has not come
        self._last = False  # after the newest request nothing more is read
        self._broken = False

    @property
    def _is_idle(self) -> bool:
        return self._request_count == 0 or (self._waiter is not None and not self._waiter.done())

    def data_received(self, data: bytes) -> None:
        """Bytes from the client; none when aiohttp has room again for what waits in its parser or here."""
        if self._broken or self._force_close or self._close:
            return
        self._ahead += data
        try:
            if not data:
                self._feed_body(b"")
            while self._ahead and self._feed_next():
                pass
        except Exception as fault:  # noqa: BLE001  # what parsing raises beside its own errors, such as
            self._refuse(fault)  # yarl's IndexError for `GET http://[]@/`: refused like them

    def _feed_next(self) -> bool:
        """Give the parser the next piece; False when it must wait."""
        if not self._body.is_eof():
            size_bytes = self._framing.take(self._ahead)
            if size_bytes:
                self._feed_body(self._cut(size_bytes))
                return True
            if not self._last:
                return False
        if self._last:
            self._ahead = b""
            return False
        if len(self._messages) >= MAX_PIPELINED:
            return False
        self._feed_head()
        return True

    def _cut(self, size_bytes: int) -> bytes:
        piece, self._ahead = self._ahead[:size_bytes], self._ahead[size_bytes:]
        return piece

    def _feed_head(self) -> None:
        seen = self._head_tail + self._ahead
        end = seen.find(_HEAD_END)
        size_bytes = len(self._ahead) if end < 0 else end + len(_HEAD_END) - len(self._head_tail)
        self._head_tail = seen[-len(_HEAD_END) + 1 :] if end < 0 else b""
        self._head.take(size_bytes)
        newest = self._feed(self._cut(size_bytes), may_begin=end >= 0)
        if newest is None:
            self._head.wait()
            return
        message, self._body = newest
        self._head.ended()
        self._framing = _framing_of(message)
        self._last = message.should_close or message.upgrade

    def _feed_body(self, piece: bytes) -> None:
        open_body = not self._body.is_eof()
        self._feed(piece, may_begin=False)
        waits = self._reading_paused  # the parser holds back what the body's buffer has no room for
        if open_body and self._body.is_eof() is not self._framing.done and not (waits and self._framing.done):
            raise BodyFault("body_end")

    def _feed(self, piece: bytes, *, may_begin: bool) -> tuple[RawRequestMessage, StreamReader] | None:
        """Let the parser read `piece`: the request that begins with it, if any. Raises what the parser refuses with.

        Raises BodyFault, too, where no request can begin, or two do, and HeadTooLong for a field; the parser's
        request is forgotten then.
        """
        before = len(self._messages)
        super().data_received(piece)
        begun = [self._messages.pop() for _ in range(len(self._messages) - before)]
        if not begun:
            return None
        message, payload = begun[0]
        if isinstance(message, _ErrInfo):
            raise message.exc or BodyFault("framing")
        if not may_begin or len(begun) > 1:
            raise BodyFault("request_begins")
        message = _settled(message)
        self._messages.append((message, payload))
        return message, payload

    def _refuse(self, fault: Exception) -> None:
        """One 400 for what was read last, in its place in the order of answers."""
        self._broken = True
        self._ahead = b""
        self._head.ended()
        error: Any = (_ErrInfo(status=400, exc=fault, message=""), EMPTY_PAYLOAD)
        if not self._body.is_eof() and self._messages and self._messages[-1][1] is self._body:
            self._messages[-1] = error  # nobody has begun with it
        elif not self._body.is_eof():
            self._body.set_exception(BrokenFraming())  # whoever reads it would wait for bytes that never come
            self._body.feed_eof()
        else:
            self._request_count += 1
            self._messages.append(error)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _head_overdue(self) -> bool:
        """Not by a polite end of TLS, which waits for an answer of whom nothing came in time."""
        if self._is_idle:
            transport = self.transport
            self.force_close()
            if transport is not None:
                transport.abort()
        return self._force_close


def _settled(message: RawRequestMessage) -> RawRequestMessage:
    """The request, where the parser does not measure a field or end a connection as we do. Raises HeadTooLong."""
    if any(len(name) + len(value) > MAX_FIELD_BYTES for name, value in message.raw_headers):
        raise HeadTooLong
    return message._replace(should_close=True) if _says_both(message) else message


def _says_both(message: RawRequestMessage) -> bool:
    """An HTTP/1.0 head with `close` and `keep-alive`, which the parser keeps alive: RFC 9112 section 9.3 closes."""
    if message.version >= HttpVersion11 or message.should_close:
        return False
    options = ",".join(message.headers.getall("Connection", ())).lower()
    return "close" in {option.strip(" \t") for option in options.split(",")}


def _framing_of(message: RawRequestMessage) -> BodyFraming:
    if message.chunked:
        return ChunkedFraming()
    # The parser has read it as a number, and a second one would be refused (RFC 9112 section 6.3).
    return FixedFraming(int(message.headers.get("Content-Length", 0)))
