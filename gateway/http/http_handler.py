"""aiohttp's request parser and connection loop, made strict, and the bridge to `Incoming` and `Reply`.

Only the parser, the message queue and the keep-alive loop of aiohttp are used. Requests, replies,
error bodies, header deadline and drain are ours, because aiohttp's own echo the input, name the
server, know no deadline for headers, and let a drain take twice its time.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
import structlog
from aiohttp import helpers, http_parser
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from aiohttp.web_server import Server

from gateway.configuration.settings import ListenSettings
from gateway.http.http_incoming import BrokenFraming, Head, HttpIncoming, Origin
from gateway.http.http_reply import HttpReply
from gateway.http.self_test import demand_fit_parser
from gateway.http.tls_context import tls_facts
from gateway.incoming import ClientGone, Incoming, ListenerName, Reply
from gateway.request_id import new_request_id

Handle = Callable[[Incoming, Reply], Awaitable[None]]
OnFramingError = Callable[[str, str, str], None]

# RFC 9112 section 3 asks for 8000 bytes of request line; one header field, name included, has as much.
MAX_LINE_BYTES = 8190
MAX_FIELD_BYTES = 8190
MAX_HEADERS = 64
# All of an unfinished head: else each connection holds MAX_HEADERS * MAX_FIELD_BYTES for a caller without a key.
# nginx takes 32 KiB, Node 16.
MAX_HEAD_BYTES = 64 * 1024
# Requests parsed ahead on one connection: each may hold MAX_HEADERS * MAX_FIELD_BYTES (aiohttp: 32).
MAX_PIPELINED = 2
READ_BUFFER_BYTES = 64 * 1024
# How long a body nobody asked for is thrown away, so that the client reads our answer, not a reset.
LINGER_S = 2.0
# What a connection that was just made gets to send its first request, when a drain begins.
FRESH_S = 1.0
# What handlers get to leave their last words and records once they were cancelled.
CANCELLED_S = 1.0

_BAD_REQUEST = b'{"error":"bad request"}'
_INTERNAL_ERROR = b'{"error":"internal error"}'
_PARSER_REASONS = {
    "BadHttpMethod": "method_unknown",
    "BadStatusLine": "request_line",
    "HeadTooLong": "header_too_long",
    "InvalidURLError": "target_form",
    "LineTooLong": "header_too_long",
}

log = structlog.get_logger(__name__)


class HeadTooLong(Exception):
    """A request's head went on beyond MAX_HEAD_BYTES."""


class HttpExchange:
    """One request with its reply, in the place where aiohttp expects its request object."""

    __slots__ = ("_task", "incoming", "payload", "reply")

    def __init__(self, connection: "HttpConnection", message: RawRequestMessage, payload: StreamReader) -> None:
        self.payload = payload
        version = (message.version.major, message.version.minor)
        head = Head(message.method, message.path, tuple(message.raw_headers), version)
        self.incoming = HttpIncoming(connection, connection.origin, head, None if payload is EMPTY_PAYLOAD else payload)
        self.reply = HttpReply(
            connection,
            http_version=version,
            head_only=message.method == "HEAD",
            tls=connection.origin.tls is not None,
            write_timeout_s=connection.settings.write_timeout_s,
            may_persist=partial(self._may_persist, connection, message),
        )

    def _may_persist(self, connection: "HttpConnection", message: RawRequestMessage) -> bool:
        """After an upgrade request, or before the end of a body, the next bytes are not surely a request."""
        return not (message.should_close or message.upgrade or self.incoming.body_left or connection.is_closing)

    def _cancel(self, _fault: BaseException) -> None:
        """Called by aiohttp when the connection is lost."""
        self.payload.set_exception(ClientGone())


class HttpConnection(RequestHandler):
    """One connection of one peer, from the end of its handshake to its last byte."""

    __slots__ = (
        "_abort_timer", "_body", "_broken", "_draining", "_fresh_timer", "_head_bytes", "_header_timer", "_socket",
        "origin", "settings",
    )  # fmt: skip

    def __init__(self, server: "HttpServer", peer: str) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=server.settings.idle_timeout_s,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to switch it off
            lingering_time=LINGER_S,
        )
        self._parser = http_parser.HttpRequestParser(
            self,
            loop,
            READ_BUFFER_BYTES,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
            payload_exception=BrokenFraming,
            auto_decompress=False,
            max_msg_queue_size=MAX_PIPELINED,
        )
        self._max_msg_queue_size = MAX_PIPELINED
        self._msg_queue_resume_size = MAX_PIPELINED // 2
        self.settings = server.settings
        self.origin = Origin(peer, server.listener, None)
        self._socket: asyncio.Transport | None = None  # ours until it is really lost; aiohttp lets go earlier
        self._body: StreamReader = EMPTY_PAYLOAD  # of the newest request
        self._broken = False
        self._draining = False
        self._fresh_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0  # of the head that is on its way
        self._header_timer: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None

    @property
    def is_closing(self) -> bool:
        """True when no further request will be read."""
        return self._draining or self._close or self._force_close

    async def drained(self) -> None:
        """Return once the client has read enough. Raises ConnectionError when it is gone."""
        await self._drain_helper()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over."""
        self._socket = cast(asyncio.Transport, transport)
        self.origin.tls = tls_facts(transport.get_extra_info("ssl_object"))
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The socket is gone; aiohttp cancels the running handler."""
        self._socket = None
        self._stop_header_clock()
        for timer in (self._abort_timer, self._fresh_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    # Bounds on an unfinished head, which aiohttp does not have: a deadline from its first byte
    # (slowloris), and its size. A first byte that came in one piece with the request before is not seen: clock
    # and count start with the next one, and the idle deadline bounds the case where none comes.

    def data_received(self, data: bytes) -> None:
        """Bytes from the client, to the parser."""
        if self._broken:
            return
        between = self._body.is_eof()
        seen = self._request_count
        try:
            super().data_received(data)
        except Exception as fault:  # noqa: BLE001  # what parsing raises beside its own errors, such as
            self._take_framing_error(fault)  # yarl's IndexError for `GET http://[]@/`: refused like them
        if self._request_count > seen and self._messages:
            self._stop_header_clock()
            self._note_newest()
        elif data and between and not self._force_close:
            self._take_part_of_head(len(data))

    def _take_part_of_head(self, size_bytes: int) -> None:
        if self._header_timer is None:
            self._start_header_clock()
        if self._messages:  # whole requests may wait in the parser until these are served
            return
        self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            self._stop_header_clock()
            self._broken = True
            self._take_framing_error(HeadTooLong())

    def _note_newest(self) -> None:
        message, payload = self._messages[-1]
        if isinstance(message, _ErrInfo):
            self._broken = True
            if not self._body.is_eof():  # whoever reads this body would wait for bytes that never come
                self._body.set_exception(BrokenFraming())
                self._body.feed_eof()
        self._body = payload

    def _take_framing_error(self, fault: Exception) -> None:
        self._request_count += 1
        self._messages.append((_ErrInfo(status=400, exc=fault, message=""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _start_header_clock(self) -> None:
        self._header_timer = self._loop.call_later(self.settings.header_timeout_s, self._headers_overdue)

    def _stop_header_clock(self) -> None:
        self._head_bytes = 0
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _headers_overdue(self) -> None:
        if self._is_idle:
            self.force_close()
        else:  # an earlier answer is still on its way: it is not cut for what follows it
            self._start_header_clock()

    # The loop of aiohttp calls these for every request.

    async def start(self) -> None:
        """Serve requests until the connection is to close; then bound how long its last bytes may take."""
        try:
            await super().start()
        finally:
            if self._socket is not None:
                self._abort_timer = self._loop.call_later(self.settings.write_timeout_s, self._socket.abort)

    async def _handle_request(self, request: Any, start_time: float | None, request_handler: Any) -> Any:  # noqa: ARG002
        """Returns the reply, and whether the connection must be closed at once because it is not whole."""
        exchange = cast(HttpExchange, request)
        self._current_request = request
        try:
            await request_handler(exchange)
            if not exchange.reply.started and not exchange.reply.closed():
                raise RuntimeError("the handler gave no answer")
        except ClientGone:
            pass
        except Exception as fault:  # noqa: BLE001  # the boundary of a request
            self.log_exception("", exc_info=fault)
            await self._answer_fault(exchange)
        finally:
            self._current_request = None
        self._close |= self._draining
        return exchange.reply, not self._is_whole(exchange.reply)

    def _is_whole(self, reply: HttpReply) -> bool:
        if not reply.ended and not reply.shows_its_end and self.transport is not None:
            self.transport.abort()  # here only a reset tells the client that something is missing
        return reply.ended

    async def _answer_fault(self, exchange: HttpExchange) -> None:
        if not exchange.reply.started:
            await _answer_fixed(exchange.reply, 500, _INTERNAL_ERROR, new_request_id(time.time_ns()))

    def _make_error_handler(self, err_info: _ErrInfo) -> Any:
        """What answers a message that the parser refused: nothing of the input, and close."""
        reason = _PARSER_REASONS.get(type(err_info.exc).__name__, "framing")
        server = cast(HttpServer, self._manager)

        async def refuse(exchange: HttpExchange) -> None:
            request_id = new_request_id(time.time_ns())
            server.on_framing_error(self.origin.peer, reason, request_id)
            await _answer_fixed(exchange.reply, 400, _BAD_REQUEST, request_id)

        return refuse

    def log_exception(self, *_args: Any, **kw: Any) -> None:
        """Type and place only: an exception's text may hold what the client sent."""
        fault = kw.get("exc_info")
        frames = traceback.extract_tb(fault.__traceback__) if isinstance(fault, BaseException) else []
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        log.error("request_failed", fault=type(fault).__name__, where=where)

    # Draining.

    @property
    def _is_idle(self) -> bool:
        return self._request_count == 0 or (self._waiter is not None and not self._waiter.done())

    def finish_soon(self) -> None:
        """Close at once when idle, else after the running answer; a fresh connection's first request is served.

        Not by aiohttp's `close`, which drops what still arrives, the rest of a request's body included.
        """
        if self._request_count == 0:
            self._draining = True
            self._fresh_timer = self._loop.call_later(FRESH_S, self._close_if_idle)
        elif self._is_idle:
            self.force_close()
        else:
            self._draining = True

    def _close_if_idle(self) -> None:
        if self._is_idle:
            self.force_close()

    def cancel(self) -> None:
        """Cancel the running handler; what it still writes is sent."""
        if self._task_handler is not None:
            self._task_handler.cancel()

    def abort(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._socket.abort()


class HttpServer(Server):
    """The connections of one listener, and what they have in common.

    `handle` answers a request; `on_framing_error(peer, reason, request_id)` hears of each message that the parser
    refused, for the audit log.
    """

    def __init__(
        self, handle: Handle, settings: ListenSettings, listener: ListenerName, on_framing_error: OnFramingError
    ) -> None:
        async def serve(exchange: Any) -> Any:
            await handle(exchange.incoming, exchange.reply)

        def pair(message: Any, payload: Any, connection: Any, _writer: Any, _task: Any) -> Any:
            return HttpExchange(connection, message, payload)

        super().__init__(serve, request_factory=pair, handler_cancellation=True)
        self.settings = settings
        self.listener = listener
        self.on_framing_error = on_framing_error
        self._empty = asyncio.Event()
        self._empty.set()

    def __call__(self, peer: str = "") -> HttpConnection:
        """A new connection. `peer` is its address as the listener settled it; an empty one passes no list."""
        return HttpConnection(self, peer)

    @property
    def open_connections(self) -> int:
        """Connections open, or closed with their handler still finishing."""
        return len(self._connections)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Called by a connection when its handshake is over."""
        super().connection_made(handler, transport)
        self._empty.clear()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Called by a connection when its socket is gone; its handler may still be finishing."""
        task = handler._task_handler  # noqa: SLF001
        super().connection_lost(handler, exc)
        if task is not None:
            task.add_done_callback(self._note_closed)
        self._note_closed()

    def _note_closed(self, _task: object = None) -> None:
        if not self._connections:
            self._empty.set()

    async def drain(self, grace_s: float) -> None:
        """Close idle connections now and busy ones when done, cancelling what runs after `grace_s`."""
        steps = (
            (HttpConnection.finish_soon, grace_s),
            (HttpConnection.cancel, CANCELLED_S),
            (HttpConnection.abort, CANCELLED_S),
        )
        for act, wait_s in steps:
            for connection in self.connections:
                act(cast(HttpConnection, connection))
            if await self._emptied_within(wait_s):
                return

    async def _emptied_within(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True


async def _answer_fixed(reply: HttpReply, status: int, body: bytes, request_id: str) -> None:
    try:
        length = ("Content-Length", str(len(body)))
        close = ("Connection", "close")
        await reply.start(status, (("Content-Type", "application/json"), length, close, ("X-Request-Id", request_id)))
        await reply.write(body)
        await reply.end()
    except ClientGone:
        pass


def assert_c_parser() -> None:
    """Raises UnfitParser unless aiohttp runs with its C parser in a fit version."""
    demand_fit_parser(
        version=aiohttp.__version__,
        parser_module=http_parser.HttpRequestParser.__module__,
        extensions_off=helpers.NO_EXTENSIONS,
    )
