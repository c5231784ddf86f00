"""The accept loop: who may connect, how many at once, and the TLS handshake with its deadline.

It accepts by itself, not through asyncio's server, because only so can an address be refused before
the handshake, connections be counted, and a reloaded certificate be simply the next connection's
context. It reads with `add_reader` and not with `sock_accept`: cancelling the latter can lose a
connection that was just accepted, and a drain must lose none.

A connection's way: accept -> `_settle_peer` (a PROXY header's place) -> `_may_enter` (lists, caps) ->
handshake in a task of its own -> the HTTP connection.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from gateway.configuration.settings import ListenSettings
from policies.networks import Address, read_address

# Accepts between two looks at running requests: a flood of connects must not starve them.
ACCEPT_BATCH = 16
# With no file descriptor or buffer left, accepting again at once would spin (asyncio waits 1 s).
ACCEPT_PAUSE_S = 0.25
# Faults of the one connection that was being accepted (accept(2)); the next one may be well.
_PASSING = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM})
# The polite end of a TLS connection; after it the socket is closed anyway.
TLS_SHUTDOWN_S = 5.0
# A client accepted a moment before a drain has not been refused, and must not be.
HANDSHAKE_GRACE_S = 2.0

log = structlog.get_logger(__name__)


class NoTlsContext(Exception):
    """TLS is demanded and there is no context: nobody is let in on plain text instead."""


class Connections(Protocol):
    """What makes and holds the connections behind the handshake: `gateway.http.http_handler.HttpServer`."""

    def __call__(self, peer: str) -> asyncio.Protocol:
        """A new connection of `peer`."""
        ...

    @property
    def open_connections(self) -> int:
        """How many there are."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Close idle ones now, busy ones when done or after `grace_s`."""
        ...


@dataclass(slots=True)
class AcceptCounts:
    """What happened at the door since the start, for the metrics."""

    accepted: int = 0
    refused_address: int = 0
    refused_full: int = 0
    handshakes_failed: int = 0
    accept_faults: int = 0


class Listener:
    """One listening socket (bound and listening already, owned from here on).

    `tls` gives the context for the next connection; None only where `unsafe_no_tls` says so.
    `peer_allowed` is asked before the handshake. Construct and use inside the running loop.
    """

    def __init__(
        self,
        listening: socket.socket,
        settings: ListenSettings,
        *,
        tls: Callable[[], ssl.SSLContext | None],
        peer_allowed: Callable[[Address], bool],
        connections: Connections,
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._settings = settings
        self._tls = tls
        self._peer_allowed = peer_allowed
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._stopped = False
        self.counts = AcceptCounts()

    @property
    def open_connections(self) -> int:
        """Connections open now, those in the handshake included."""
        return len(self._handshakes) + self._connections.open_connections

    def start(self) -> None:
        """Begin to accept. Raises NoTlsContext where the settings demand TLS and there is none."""
        self._demand_context()
        self._loop.add_reader(self._listening, self._accept_batch)

    def stop_accepting(self) -> None:
        """Accept no more and close our copy of the listening socket; open connections live on."""
        if self._stopped:
            return
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    async def close(self, grace_s: float) -> None:
        """Stop, let handshakes end, close idle connections now and busy ones when done or after `grace_s`.

        Who was accepted is served: a handshake gets `HANDSHAKE_GRACE_S`, a first request its own grace.
        """
        self.stop_accepting()
        if self._handshakes:
            await asyncio.wait(self._handshakes, timeout=HANDSHAKE_GRACE_S)
        for handshake in self._handshakes:
            handshake.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        await self._connections.drain(grace_s)

    def _accept_batch(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                accepted, name = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as fault:
                self._note_accept_fault(fault)
                return
            accepted.setblocking(False)
            self._receive(accepted, name)

    def _note_accept_fault(self, fault: OSError) -> None:
        self.counts.accept_faults += 1
        log.warning("accept_failed", errno=errno.errorcode.get(fault.errno or 0, "unknown"), open=self.open_connections)
        if fault.errno in _PASSING:
            return
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(ACCEPT_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._listening, self._accept_batch)

    def _receive(self, accepted: socket.socket, name: Any) -> None:
        peer = _settle_peer(name)
        if not self._may_enter(peer):
            accepted.close()
            return
        self.counts.accepted += 1
        handshake = self._loop.create_task(self._shake_hands(accepted, peer))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    def _may_enter(self, peer: str) -> bool:
        try:
            allowed = self._peer_allowed(read_address(peer))
        except ValueError:  # a zone id, or no address at all
            allowed = False
        if not allowed:
            self.counts.refused_address += 1
            return False
        if self.open_connections >= self._settings.max_connections:
            self.counts.refused_full += 1
            return False
        return True

    async def _shake_hands(self, accepted: socket.socket, peer: str) -> None:
        try:
            context = self._demand_context()
            deadlines: dict[str, float] = {}
            if context is not None:
                deadlines["ssl_handshake_timeout"] = self._settings.handshake_timeout_s
                deadlines["ssl_shutdown_timeout"] = TLS_SHUTDOWN_S
            await self._loop.connect_accepted_socket(
                lambda: self._connections(peer), accepted, ssl=context, **deadlines
            )
        except OSError as fault:  # plain text, an unknown version, a deadline, a client that left
            self.counts.handshakes_failed += 1
            accepted.close()
            log.debug("handshake_failed", peer=peer, fault=getattr(fault, "reason", None) or type(fault).__name__)
        except NoTlsContext:
            accepted.close()
            log.error("tls_context_missing", peer=peer)

    def _demand_context(self) -> ssl.SSLContext | None:
        context = self._tls()
        if context is None and not self._settings.unsafe_no_tls:
            raise NoTlsContext("a listener without TLS needs unsafe_no_tls: true in config.yaml")
        return context


def _settle_peer(name: Any) -> str:
    """The peer's address as text; `name` is what accept() gave. Empty for a socket without addresses."""
    return str(name[0]) if isinstance(name, tuple) else ""
