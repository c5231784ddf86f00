"""The accept loop: who may connect, how many at once, and the TLS handshake with its deadline.

It accepts by itself, not through asyncio's server, because only so can an address be refused before
the handshake, connections be counted, and a reloaded certificate be simply the next connection's
context. It reads with `add_reader` and not with `sock_accept`: cancelling the latter can lose a
connection that was just accepted, and a drain must lose none.

A connection's way: accept -> `_require_entry` (may anybody from there come now) -> `_take_place` (the lists, and
the cap of the client's address; where the listener demands a PROXY header only once that has named the client,
in the connection's own task) -> handshake -> the HTTP connection, which gives the place back when it is lost.

Rules for addresses: without `proxy_protocol` the peer is asked about as it connects, and only a trusted proxy,
which speaks for many, is not counted by its address. With it nobody but a trusted proxy may connect, and the
client it announces is asked about and counted, before the TLS handshake. A proxy that announces itself (LOCAL,
a health check) is the client.
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
from gateway.http.address_counts import AddressCounts
from gateway.http.announced_peer import read_announced
from gateway.http.tls_context import certificate_fault
from policies.addresses.networks import Address, read_address
from policies.addresses.proxy_header import ProxyHeaderFault
from policies.addresses.trusted_proxies import NOBODY, TrustedProxies

# Accepts between two looks at running requests: a flood of connects must not starve them.
ACCEPT_BATCH = 16
# With no file descriptor or buffer left, accepting again at once would spin (asyncio waits 1 s).
ACCEPT_PAUSE_S = 0.25
# Faults of the one connection that was being accepted (accept(2)); the next one may be well.
_PASSING = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM})
# The polite end of a TLS connection; after it the socket is closed anyway.
TLS_SHUTDOWN_S = 5.0
# asyncio takes no deadline of 0; who used all of it up for the PROXY header gets this.
MIN_HANDSHAKE_S = 0.001
# A client accepted a moment before a drain has not been refused, and must not be.
HANDSHAKE_GRACE_S = 2.0

log = structlog.get_logger(__name__)


class NoTlsContext(Exception):
    """TLS is demanded and there is no context: nobody is let in on plain text instead."""


class NotLetIn(Exception):
    """This connection ends before its handshake; it is counted already."""


class Connections(Protocol):
    """What makes and holds the connections behind the handshake: `gateway.http.http_handler.HttpServer`."""

    def __call__(self, peer: str, *, via: str, on_lost: Callable[[], None]) -> asyncio.Protocol:
        """A new connection of `peer`, announced by the proxy `via` where that is not empty.

        `on_lost` is called when the socket is gone.
        """
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
    refused_address_full: int = 0
    refused_proxy_header: int = 0
    handshakes_failed: int = 0
    accept_faults: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """One connection's place: of whom, announced by which proxy (or empty), and how it is given back."""

    peer: str
    via: str
    leave: Callable[[], None]


class Listener:
    """One listening socket (bound and listening already, owned from here on).

    `tls` gives the context for the next connection; None only where `unsafe_no_tls` says so.
    `peer_allowed` is asked before the handshake, `proxies` says whom the policy in force trusts to speak for
    others. Construct and use inside the running loop.
    """

    def __init__(
        self,
        listening: socket.socket,
        settings: ListenSettings,
        *,
        tls: Callable[[], ssl.SSLContext | None],
        peer_allowed: Callable[[Address], bool],
        connections: Connections,
        proxies: Callable[[], TrustedProxies] = lambda: NOBODY,
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._settings = settings
        self._tls = tls
        self._peer_allowed = peer_allowed
        self._connections = connections
        self._proxies = proxies
        self._addresses = AddressCounts(settings.max_connections_per_address)
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
        try:
            peer = self._require_entry(name)
            place = None if self._settings.proxy_protocol else self._take_place(peer)
        except NotLetIn:
            accepted.close()
            return
        self.counts.accepted += 1
        handshake = self._loop.create_task(self._let_in(accepted, peer, place))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    def _require_entry(self, name: Any) -> Address:
        """The socket's other end, if anybody from there may come at all now. Raises NotLetIn."""
        try:
            peer = _read_peer(name)
        except ValueError:  # a zone id, or no address at all
            self.counts.refused_address += 1
            raise NotLetIn from None
        if self._settings.proxy_protocol and not self._proxies().may_announce(peer):
            self.counts.refused_address += 1
            raise NotLetIn
        if self.open_connections >= self._settings.max_connections:
            self.counts.refused_full += 1
            raise NotLetIn
        return peer

    def _take_place(self, client: Address, via: str = "") -> Place:
        """A place for one connection of `client`, if the lists and its address's cap allow it. Raises NotLetIn."""
        if not self._peer_allowed(client):
            self.counts.refused_address += 1
            raise NotLetIn
        if self._proxies().trusts(client):
            return Place(str(client), via, _nothing_to_leave)
        leave = self._addresses.enter(client)
        if leave is None:
            self.counts.refused_address_full += 1
            raise NotLetIn
        return Place(str(client), via, leave)

    async def _let_in(self, accepted: socket.socket, peer: Address, place: Place | None) -> None:
        """PROXY header where it is demanded, handshake, HTTP connection; what was taken is given back on any end."""
        until_s = self._loop.time() + self._settings.handshake_timeout_s
        inside = False
        try:
            if place is None:
                place = await self._place_announced(accepted, peer, until_s)
            await self._shake_hands(accepted, place, until_s - self._loop.time())
            inside = True
        except NotLetIn:
            pass
        except OSError as fault:  # plain text, an unknown version, a deadline, a client that left
            self.counts.handshakes_failed += 1
            if cause := certificate_fault(fault):
                log.warning("client_certificate_refused", peer=str(peer), cause=cause)
            else:
                reason = getattr(fault, "reason", None) or type(fault).__name__
                log.debug("handshake_failed", peer=str(peer), fault=reason)
        except NoTlsContext:
            log.error("tls_context_missing", peer=str(peer))
        finally:
            if not inside:
                accepted.close()
                if place is not None:
                    place.leave()

    async def _place_announced(self, accepted: socket.socket, proxy: Address, until_s: float) -> Place:
        try:
            async with asyncio.timeout_at(until_s):
                client = await read_announced(accepted, self._loop)
        except (ProxyHeaderFault, OSError) as fault:
            self.counts.refused_proxy_header += 1
            reason = getattr(fault, "reason", type(fault).__name__)
            log.warning("proxy_header_refused", proxy=str(proxy), reason=reason)
            raise NotLetIn from None
        return self._take_place(client or proxy, via=str(proxy))

    async def _shake_hands(self, accepted: socket.socket, place: Place, left_s: float) -> None:
        context = self._demand_context()
        deadlines: dict[str, float] = {}
        if context is not None:
            deadlines["ssl_handshake_timeout"] = max(left_s, MIN_HANDSHAKE_S)
            deadlines["ssl_shutdown_timeout"] = TLS_SHUTDOWN_S
        await self._loop.connect_accepted_socket(
            lambda: self._connections(place.peer, via=place.via, on_lost=place.leave),
            accepted,
            ssl=context,
            **deadlines,
        )

    def _demand_context(self) -> ssl.SSLContext | None:
        context = self._tls()
        if context is None and not self._settings.unsafe_no_tls:
            raise NoTlsContext("a listener without TLS needs unsafe_no_tls: true in config.yaml")
        return context


def _read_peer(name: Any) -> Address:
    """The other end by what accept() gave. Raises ValueError for a socket without addresses."""
    return read_address(str(name[0]) if isinstance(name, tuple) else "")


def _nothing_to_leave() -> None:
    """For a proxy that speaks for many and is not counted."""
