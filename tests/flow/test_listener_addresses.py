"""Who gets through the door by address: lists, caps for each address, and PROXY headers in front of TLS.

Invariant: nobody but a trusted proxy changes by what it says whom the listener takes it for, and whoever may not
come in is closed before the TLS handshake.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import uvloop

from gateway.configuration.settings import ListenSettings
from gateway.http.announced_peer import read_announced
from gateway.http.http_handler import HttpServer
from gateway.http.listener import Listener
from gateway.http.tls_context import server_context
from policies.addresses.proxy_header import SIGNATURE
from policies.addresses.trusted_proxies import TrustedProxies
from tests.flow.test_listener import GET, IN_TIME, PATIENCE_S, QUICK, House, open_house, pair, until

__all__ = ["pair"]  # the fixture

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ANNOUNCING = TrustedProxies(("127.0.0.1/32",), "proxy-v2")
GUEST = ip_network("192.0.2.0/24")


def header(source: str = "192.0.2.7", *, command: int = 0x21, extra: bytes = b"") -> bytes:
    """A PROXY header, version 2, for a client at `source`."""
    address = ip_address(source)
    family, padding = (0x11, 8) if address.version == 4 else (0x21, 20)
    rest = address.packed + bytes(padding) + extra
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2, "big") + rest


@contextlib.contextmanager
def connected(house: House, *parts: bytes, host: str = "127.0.0.1") -> Iterator[ssl.SSLSocket]:
    """A blocking connection from `host` that has sent `parts`, one write each, and has not shaken hands."""
    context = ssl.create_default_context(cafile=house.trust)
    plain = socket.socket()
    with context.wrap_socket(plain, do_handshake_on_connect=False, server_hostname="localhost") as wrapped:
        wrapped.settimeout(PATIENCE_S)
        wrapped.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped.bind((host, 0))
        wrapped.connect(("127.0.0.1", house.port))
        for part in parts:
            socket.socket.sendall(wrapped, part)
        yield wrapped


def closed_by_peer(wrapped: ssl.SSLSocket) -> bool:
    """Whether the other side has closed, without a word in clear."""
    return socket.socket.recv(wrapped, 1) == b""


def ask_over_tls(house: House, *parts: bytes, host: str = "127.0.0.1") -> bytes:
    """Send `parts`, shake hands, ask, and read the answer's beginning; b"" when it was closed before."""
    try:
        with connected(house, *parts, host=host) as wrapped:
            wrapped.do_handshake()
            wrapped.sendall(GET)
            return wrapped.recv(100)
    except (ConnectionError, ssl.SSLError):
        return b""


async def ask(house: House, *parts: bytes, host: str = "127.0.0.1") -> bool:
    """Whether a request over TLS, after `parts`, was served."""
    answer = await asyncio.wait_for(asyncio.to_thread(ask_over_tls, house, *parts, host=host), PATIENCE_S)
    return answer.startswith(b"HTTP/1.1 200")


# ---- caps for each address


async def test_one_address_cannot_fill_the_listener(pair):
    async with open_house(pair, max_connections_per_address=2) as house:
        first = await house.connect()
        await house.connect()
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await house.connect()
        assert house.listener.counts.refused_address_full == 1
        assert await ask(house, host="127.0.0.2")
        first.writer.close()
        await until(lambda: house.listener.open_connections == 1)
        client = await house.connect()
        client.send(GET)
        assert (await client.response())[1] == b"root"


async def test_a_handshake_that_does_not_end_holds_its_address_place_until_it_is_given_up(pair):
    async with open_house(pair, max_connections_per_address=1, handshake_timeout_s=2 * IN_TIME) as house:
        with connected(house):
            await until(lambda: house.listener.open_connections == 1)
            assert not await ask(house)
            assert house.listener.counts.refused_address_full == 1
            await until(lambda: house.listener.counts.handshakes_failed == 1)
        assert await ask(house)


async def test_a_trusted_proxy_is_not_capped_by_its_own_address(pair):
    proxies = TrustedProxies(("127.0.0.1/32",))
    async with open_house(pair, proxies=proxies, max_connections_per_address=1) as house:
        for _ in range(3):
            await house.connect()
        await until(lambda: house.server.open_connections == 3)
        assert house.listener.counts.refused_address_full == 0


async def test_every_place_is_given_back(pair):
    async with open_house(pair, max_connections_per_address=4) as house:
        for _ in range(20):
            assert await ask(house)
            await until(lambda: house.listener.open_connections == 0)
        assert house.listener._addresses.addresses() == 0


# ---- PROXY headers


async def test_the_announced_client_is_the_peer(pair):
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True) as house:
        assert await ask(house, header("192.0.2.7", extra=b"\x04\x00\x03pad"))
        assert await ask(house, header("2001:db8::7"))
        assert [(each.peer, each.via) for each in house.service.seen] == [
            ("192.0.2.7", "127.0.0.1"),
            ("2001:db8::7", "127.0.0.1"),
        ]


async def test_the_header_may_come_byte_by_byte_and_eats_nothing_of_tls(pair):
    data = header()
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True) as house:
        assert await ask(house, *(data[place : place + 1] for place in range(len(data))))


async def test_a_header_and_plain_http_in_one_piece(pair):
    async with open_house(None, proxies=ANNOUNCING, proxy_protocol=True) as house:
        client = await house.connect()
        client.send(header() + GET)
        assert (await client.response())[1] == b"root"
        assert house.service.seen[0].peer == "192.0.2.7"


async def test_a_proxy_that_speaks_for_itself_is_the_client(pair):
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True, max_connections_per_address=1) as house:
        assert await ask(house, header(command=0x20))
        assert house.service.seen[0].peer == "127.0.0.1"


async def test_nobody_but_a_trusted_proxy_may_connect(pair):
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True) as house:
        assert not await ask(house, header(), host="127.0.0.2")
        assert house.listener.counts.refused_address == 1
        assert house.listener.counts.accepted == 0


@pytest.mark.parametrize("proxies", [TrustedProxies(), TrustedProxies(("127.0.0.1/32",), "x-forwarded-for")])
async def test_without_a_policy_that_trusts_headers_nobody_may_connect(pair, proxies):
    async with open_house(pair, proxies=proxies, proxy_protocol=True) as house:
        assert not await ask(house, header())
        assert house.service.seen == []


async def test_the_announced_client_is_held_to_the_lists_before_the_handshake(pair):
    async with open_house(pair, lambda address: address not in GUEST, proxies=ANNOUNCING, proxy_protocol=True) as house:
        assert not await ask(house, header("192.0.2.7"))
        assert house.listener.counts.refused_address == 1
        assert house.listener.counts.handshakes_failed == 0
        assert await ask(house, header("198.51.100.7"))


async def test_announced_clients_are_counted_by_their_own_address(pair):
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True, max_connections_per_address=1) as house:
        with connected(house, header("192.0.2.7")):
            await until(lambda: house.listener._addresses.addresses() == 1)
            assert not await ask(house, header("192.0.2.7"))
            assert await ask(house, header("192.0.2.8"))
        assert house.listener.counts.refused_address_full == 1
        await until(lambda: house.listener.open_connections == 0)
        assert await ask(house, header("192.0.2.7"))


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"PROXY TCP4 192.0.2.7 127.0.0.1 1 443\r\n", id="version 1"),
        pytest.param(GET, id="http"),
        pytest.param(b"", id="tls at once"),
        pytest.param(header()[:12] + b"\x21\x11\xff\xff", id="too long"),
        pytest.param(SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12), id="udp"),
    ],
)
async def test_what_is_no_header_is_closed(pair, start):
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True) as house:
        assert not await ask(house, start)
        await until(lambda: house.listener.counts.refused_proxy_header == 1)
        await until(lambda: house.listener.open_connections == 0)
        assert house.service.seen == []


@pytest.mark.parametrize("start", [b"", header()[:5], header()[:-1]])
async def test_a_header_that_does_not_come_is_given_up_by_the_handshake_deadline(pair, start):
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True, handshake_timeout_s=QUICK) as house:
        with connected(house, start) as plain:
            assert await asyncio.wait_for(asyncio.to_thread(closed_by_peer, plain), PATIENCE_S)
        await until(lambda: house.listener.counts.refused_proxy_header == 1)


async def test_a_header_that_is_cut_off_is_no_header(pair):
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True) as house:
        with connected(house, header()[:20]):
            pass
        await until(lambda: house.listener.counts.refused_proxy_header == 1)
        await until(lambda: house.listener.open_connections == 0)


async def test_a_drain_gives_up_connections_that_wait_for_their_header(pair):
    async with open_house(pair, proxies=ANNOUNCING, proxy_protocol=True) as house:
        with connected(house) as plain:
            await until(lambda: house.listener.open_connections == 1)
            await asyncio.wait_for(house.listener.close(0.0), PATIENCE_S)
            assert house.listener.open_connections == 0
            assert await asyncio.wait_for(asyncio.to_thread(closed_by_peer, plain), PATIENCE_S)


async def test_a_new_policy_holds_from_the_next_connection(pair):
    trusted = [ANNOUNCING]
    async with open_listener(pair, trusted) as house:
        assert await ask(house, header())
        trusted[0] = TrustedProxies()
        assert not await ask(house, header())


@contextlib.asynccontextmanager
async def open_listener(pair: tuple[Path, Path], trusted: list[TrustedProxies]):
    """A house whose policy changes while it is open."""
    async with open_house(pair) as house:
        listening = socket.create_server(("127.0.0.1", 0))
        settings = ListenSettings(proxy_protocol=True)
        context = server_context(*pair, now=datetime.now(UTC))
        server = HttpServer(house.service, settings, "public", lambda *_: None)
        listener = Listener(
            listening,
            settings,
            tls=lambda: context,
            peer_allowed=lambda _: True,
            connections=server,
            proxies=lambda: trusted[0],
        )
        port = listening.getsockname()[1]
        listener.start()
        try:
            yield House(listener, server, house.service, port, pair[0])
        finally:
            await listener.close(0.0)


async def test_reading_a_header_leaves_what_follows_in_the_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(header("2001:db8::1") + b"\x16\x03\x01")
        assert str(await read_announced(ours, asyncio.get_running_loop())) == "2001:db8::1"
        assert ours.recv(10) == b"\x16\x03\x01"
