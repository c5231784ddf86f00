"""aiohttp's server, made strict: the connections of one listener, and what they have in common.

Only the parser, the message queue and the keep-alive loop of aiohttp are used (`http_connection`).
Requests, replies, error bodies, bounds and drain are ours, because aiohttp's own echo the input, name
the server, know no deadline for headers or bodies, and let a drain take twice its time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import aiohttp
from aiohttp import helpers, http_parser
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from gateway.configuration.settings import ListenSettings
from gateway.http.body_budget import BodyBudget
from gateway.http.http_connection import HttpConnection, OnFramingError, Shared
from gateway.http.http_exchange import HttpExchange
from gateway.http.self_test import demand_fit_parser
from gateway.incoming import Incoming, Reply
from policies.access import ListenerName

Handle = Callable[[Incoming, Reply], Awaitable[None]]

# What handlers get to leave their last words and records once they were cancelled.
CANCELLED_S = 1.0


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
        self.bodies = BodyBudget(settings.max_bodies_bytes)
        self._shared = Shared(settings, listener, self.bodies, on_framing_error)
        self._empty = asyncio.Event()
        self._empty.set()

    def __call__(self, peer: str = "", *, via: str = "", on_lost: Callable[[], None] | None = None) -> HttpConnection:
        """A new connection. `peer` is its address as the listener settled it; an empty one passes no list.

        `via` is the proxy that announced the peer, empty for none. `on_lost` is called when the socket is gone.
        """
        connection = HttpConnection(self, self._shared, peer)
        connection.origin.via = via
        connection.on_lost = on_lost
        return connection

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


def assert_c_parser() -> None:
    """Raises UnfitParser unless aiohttp runs with its C parser in a fit version."""
    demand_fit_parser(
        version=aiohttp.__version__,
        parser_module=http_parser.HttpRequestParser.__module__,
        extensions_off=helpers.NO_EXTENSIONS,
    )
