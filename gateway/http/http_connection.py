"""One connection: its life, its requests one after another, its end.

aiohttp's loop is kept; what it does at each station is ours: no input in an error's body, no exception's
text in the log, a visible cut for an answer that is not whole, a bound on the last bytes, a drain that ends
in time.
"""

import asyncio
import contextlib
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import structlog
from aiohttp.web_protocol import _ErrInfo
from aiohttp.web_server import Server

from gateway.configuration.settings import ListenSettings
from gateway.http.body_budget import BodyBudget
from gateway.http.body_framing import BodyFault
from gateway.http.http_exchange import HttpExchange, answer_fixed
from gateway.http.http_incoming import Origin
from gateway.http.http_reply import HttpReply
from gateway.http.http_wire import LINGER_S, HttpWire
from gateway.http.tls_context import tls_facts
from gateway.incoming import ClientGone
from gateway.request_id import new_request_id
from policies.access import ListenerName
from policies.credentials.client_certificate import UnfitCertificate

OnFramingError = Callable[[str, str, str], None]

# What a connection that was just made gets to send its first request, when a drain begins.
FRESH_S = 1.0
# What who was too slow for a deadline gets to take the answer that says so.
OVERDUE_S = 0.5
# What the kernel takes in ahead of a client that does not read: else megabytes, and a stall is seen late.
MAX_UNSENT_BYTES = 64 * 1024

_BAD_REQUEST = b'{"error":"bad request"}'
_INTERNAL_ERROR = b'{"error":"internal error"}'
_REASONS = {
    "BadHttpMethod": "method_unknown",
    "BadStatusLine": "request_line",
    "HeadTooLong": "header_too_long",
    "InvalidURLError": "target_form",
    "LineTooLong": "header_too_long",
}

log = structlog.get_logger(__name__)


class Shared(NamedTuple):
    """What the connections of one listener have in common.

    `on_framing_error(peer, reason, request_id)` hears of each message that could not be read, for the audit log.
    """

    settings: ListenSettings
    listener: ListenerName
    bodies: BodyBudget
    on_framing_error: OnFramingError


class HttpConnection(HttpWire):
    """One connection of one peer, from the end of its handshake to its last byte."""

    __slots__ = (
        "_abort_timer",
        "_draining",
        "_fresh_timer",
        "_last_bytes_s",
        "_shared",
        "_socket",
        "bodies",
        "on_lost",
        "origin",
        "write_timeout_s",
    )

    def __init__(self, server: Server, shared: Shared, peer: str) -> None:
        super().__init__(server, shared.settings)
        self._shared = shared
        self.bodies = shared.bodies
        self.write_timeout_s = shared.settings.write_timeout_s
        self.origin = Origin(peer, shared.listener, None)
        self.on_lost: Callable[[], None] | None = None  # how the listener gets the connection's place back
        self._socket: asyncio.Transport | None = None  # ours until it is really lost; aiohttp lets go earlier
        self._draining = False
        self._fresh_timer: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        self._last_bytes_s = self.write_timeout_s

    @property
    def is_closing(self) -> bool:
        """True when no further request will be read."""
        return self._draining or self._close or self._force_close

    async def drained(self) -> None:
        """Return once the client has read enough. Raises ConnectionError when it is gone."""
        await self._drain_helper()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over. A client certificate that must not be used ends the connection before a request."""
        self._socket = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_BYTES)
        local = transport.get_extra_info("sockname")
        self.origin.local = str(local[0]) if isinstance(local, tuple) else ""
        try:
            self.origin.tls = tls_facts(transport.get_extra_info("ssl_object"))
        except UnfitCertificate as fault:
            self._broken = True
            self._shared.on_framing_error(self.origin.peer, str(fault), new_request_id(time.time_ns()))
            self._socket.abort()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The socket is gone; aiohttp cancels the running handler."""
        self._socket = None
        self._head.ended()
        for timer in (self._abort_timer, self._fresh_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    # The loop of aiohttp calls these for every request.

    async def start(self) -> None:
        """Serve requests until the connection is to close; then bound how long its last bytes may take."""
        try:
            await super().start()
        finally:
            if self._socket is not None:
                self._abort_timer = self._loop.call_later(self._last_bytes_s, self._socket.abort)

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
            exchange.incoming.let_go()
        self._close |= self._draining
        whole = self._is_whole(exchange.reply)
        if exchange.incoming.body_overdue:
            self._lingering_time, self._last_bytes_s = 0.0, OVERDUE_S
        elif whole and not (exchange.reply.keep_alive or self._draining):
            await self._leave(exchange)
        return exchange.reply, not whole

    async def _leave(self, exchange: HttpExchange) -> None:
        """End our side at once and drop what still arrives: closing on unread bytes is a reset, which takes the
        answer back (RFC 9112 section 9.6). TLS has no half of an end: there aiohttp drops a body's rest first.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or not transport.can_write_eof():
            return
        if not (self._broken or exchange.may_send_more):
            return
        self._broken, self._lingering_time = True, 0.0
        with contextlib.suppress(OSError):  # the client is gone
            transport.write_eof()
        transport.resume_reading()  # paused where the body's buffer was full
        await asyncio.sleep(LINGER_S)  # cancelled when the client is gone

    def _is_whole(self, reply: HttpReply) -> bool:
        if not reply.ended and not reply.shows_its_end and self.transport is not None:
            self.transport.abort()  # here only a reset tells the client that something is missing
        return reply.ended

    async def _answer_fault(self, exchange: HttpExchange) -> None:
        if not exchange.reply.started:
            await answer_fixed(exchange.reply, 500, _INTERNAL_ERROR, new_request_id(time.time_ns()))

    def _make_error_handler(self, err_info: _ErrInfo) -> Any:
        """What answers a message that could not be read: nothing of the input, and close."""
        fault = err_info.exc
        reason = fault.reason if isinstance(fault, BodyFault) else _REASONS.get(type(fault).__name__, "framing")

        async def refuse(exchange: HttpExchange) -> None:
            request_id = new_request_id(time.time_ns())
            self._shared.on_framing_error(self.origin.peer, reason, request_id)
            await answer_fixed(exchange.reply, 400, _BAD_REQUEST, request_id)

        return refuse

    def log_exception(self, *_args: Any, **kw: Any) -> None:
        """Type and place only: an exception's text may hold what the client sent."""
        fault = kw.get("exc_info")
        frames = traceback.extract_tb(fault.__traceback__) if isinstance(fault, BaseException) else []
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        log.error("request_failed", fault=type(fault).__name__, where=where)

    # Draining.

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
