"""The real listener, TLS and parser on a loopback socket, driven by raw bytes, on both event loops.

Invariant of the framing tests: never more answers than well-formed requests, and a framing error
closes the connection.
"""

import asyncio
import errno
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from gateway.configuration.settings import ListenSettings
from gateway.http.edge import check_edge
from gateway.http.http_handler import HttpServer
from gateway.http.http_wire import MAX_PIPELINED
from gateway.http.listener import Listener, NoTlsContext
from gateway.http.tls_context import server_context
from gateway.incoming import ClientGone, Incoming, Reply
from policies.addresses.trusted_proxies import NOBODY, TrustedProxies
from policies.errors import Refused

PATIENCE_S = 30.0  # bounds a hang
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
# The deadlines that a test waits for; the defaults are 10 to 75 s.
QUICK = 0.3
# Where it has to be in time for the same deadline first.
IN_TIME = 1.0
JSON = ("Content-Type", "application/json")

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    home = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]), False
        )
        .sign(key, hashes.SHA256())
    )
    paths = home / "server.pem", home / "server.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class Service:
    """A small application: one path a behaviour. It records what it saw."""

    def __init__(self) -> None:
        self.seen: list[Incoming] = []
        self.refused: list[str] = []
        self.framing: list[tuple[str, str]] = []
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.holding = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, incoming: Incoming, reply: Reply) -> None:
        self.seen.append(incoming)
        try:
            check_edge(incoming.method, incoming.target, incoming.headers, incoming.http_version)
            await getattr(self, incoming.target.strip("/").partition("?")[0] or "root")(incoming, reply)
        except Refused as refusal:
            self.refused.append(refusal.reason)
            await answer(reply, refusal.status, b"{}", ("Connection", "close"))
        except (asyncio.CancelledError, ClientGone) as end:
            self.ended.put_nowait(type(end).__name__)
            raise

    async def root(self, incoming: Incoming, reply: Reply) -> None:
        await answer(reply, 200, b"root")

    async def echo(self, incoming: Incoming, reply: Reply) -> None:
        await answer(reply, 200, await incoming.read_body(100_000, PATIENCE_S))

    async def hasty(self, incoming: Incoming, reply: Reply) -> None:
        await answer(reply, 200, await incoming.read_body(100_000, QUICK))

    async def early(self, incoming: Incoming, reply: Reply) -> None:
        await answer(reply, 401, b"{}")

    async def chunks(self, incoming: Incoming, reply: Reply) -> None:
        await reply.start(200, [JSON])
        for part in (b"one", b"", b"two"):
            await reply.write(part)
        await reply.end()

    async def hold(self, incoming: Incoming, reply: Reply) -> None:
        self.holding.set()
        await self.release.wait()
        await answer(reply, 200, b"held")

    async def stream(self, incoming: Incoming, reply: Reply) -> None:
        await reply.start(200, [JSON])
        await reply.write(b"first")
        self.holding.set()
        await self.release.wait()
        await reply.end()

    async def flood(self, incoming: Incoming, reply: Reply) -> None:
        await reply.start(200, [JSON])
        while True:
            await reply.write(b"x" * 100_000)

    async def stubborn(self, incoming: Incoming, reply: Reply) -> None:
        self.holding.set()
        while not self.release.is_set():
            with suppress(asyncio.CancelledError):
                await self.release.wait()

    async def bug(self, incoming: Incoming, reply: Reply) -> None:
        raise ZeroDivisionError("canary-secret")

    async def late_bug(self, incoming: Incoming, reply: Reply) -> None:
        await reply.start(200, [JSON])
        await reply.write(b"part")
        raise ZeroDivisionError("canary-secret")

    async def silence(self, incoming: Incoming, reply: Reply) -> None:
        return


async def answer(reply: Reply, status: int, body: bytes, *extra: tuple[str, str]) -> None:
    await reply.start(status, [JSON, ("Content-Length", str(len(body))), *extra])
    await reply.write(body)
    await reply.end()


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)

    async def response(self) -> tuple[bytes, bytes]:
        """Head and body of one answer with Content-Length."""
        head = await self.head()
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        return head, await asyncio.wait_for(self.reader.readexactly(length), PATIENCE_S)

    async def rest(self) -> bytes:
        """Everything until the server closes, or resets."""
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while part := await self.reader.read(65536):
                    data += part
        return data

    async def ask(self, data: bytes) -> bytes:
        self.send(data)
        return await self.rest()


class House:
    """A listener with its service, and clients for it."""

    def __init__(self, listener: Listener, server: HttpServer, service: Service, port: int, trust: Path | None) -> None:
        self.listener = listener
        self.server = server
        self.service = service
        self.port = port
        self.trust = trust
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        context = ssl.create_default_context(cafile=self.trust) if self.trust else None
        name = "localhost" if context else None
        client = Client(
            *await asyncio.wait_for(
                asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name), PATIENCE_S
            )
        )
        self.clients.append(client)
        return client


@asynccontextmanager
async def open_house(
    pair: tuple[Path, Path] | None,
    peer_allowed: Callable[[object], bool] = lambda _address: True,
    proxies: TrustedProxies = NOBODY,
    **settings: object,
) -> AsyncIterator[House]:
    service = Service()
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    chosen = ListenSettings(unsafe_no_tls=pair is None, **settings)
    context = server_context(*pair, now=datetime.now(UTC)) if pair else None
    server = HttpServer(
        service, chosen, "public", lambda peer, reason, _request_id: service.framing.append((peer, reason))
    )
    listener = Listener(
        listening, chosen, tls=lambda: context, peer_allowed=peer_allowed, connections=server, proxies=lambda: proxies
    )
    listener.start()
    house = House(listener, server, service, port, pair[0] if pair else None)
    try:
        yield house
    finally:
        service.release.set()
        await listener.close(0.0)
        for client in house.clients:
            client.writer.transport.abort()
        await until(lambda: listener.open_connections == 0)


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until `true`, or fail."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110  # what is waited for is the kernel's or the server's, not ours
            await asyncio.sleep(0.005)


def statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


async def test_an_answer_carries_the_fixed_headers_and_names_no_server(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(GET)
        head, body = await client.response()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"root"
    for line in (
        b"Cache-Control: no-store",
        b"X-Content-Type-Options: nosniff",
        b"Strict-Transport-Security: max-age=",
    ):
        assert line in head
    assert b"server:" not in head.lower()
    assert b"python" not in head.lower()


async def test_the_request_arrives_raw_with_its_origin(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"GET /?a=%2e HTTP/1.1\r\nhOsT: a\r\nX-Odd:  b \r\n\r\n")
        await client.response()
        seen = house.service.seen[0]
    assert (seen.method, seen.target, seen.http_version) == ("GET", "/?a=%2e", (1, 1))
    assert seen.headers == ((b"hOsT", b"a"), (b"X-Odd", b"b"))
    assert (seen.peer, seen.listener) == ("127.0.0.1", "public")
    assert seen.tls is not None
    assert (seen.tls.version, seen.tls.server_name) == ("TLSv1.3", "localhost")


async def test_a_thousand_requests_on_one_connection(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        for number in range(1000):
            body = str(number).encode()
            client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            assert (await client.response())[1] == body
        assert house.listener.counts.accepted == 1


async def test_pipelined_requests_are_answered_in_order_and_few_are_parsed_ahead(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 100)
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        waiting = [len(connection._messages) for connection in house.server.connections]
        assert waiting[0] <= MAX_PIPELINED
        house.service.release.set()
        bodies = [(await client.response())[1] for _ in range(101)]
    assert bodies == [b"held"] + [b"root"] * 100


async def test_chunked_answers_to_11_and_until_close_to_10(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in await client.head()
        assert await client.reader.readexactly(21) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        older = await (await house.connect()).ask(b"GET /chunks HTTP/1.0\r\n\r\n")
    assert older.endswith(b"\r\n\r\nonetwo")
    assert b"Connection: close" in older
    assert b"chunked" not in older


async def test_http10_keeps_alive_only_when_asked(pair):
    async with open_house(pair) as house:
        assert b"Connection: close" in await (await house.connect()).ask(b"GET / HTTP/1.0\r\n\r\n")
        client = await house.connect()
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert b"Connection: keep-alive" in (await client.response())[0]


async def test_head_has_the_length_and_no_body(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Content-Length: 4" in await client.head()
        client.send(GET)
        assert (await client.response())[1] == b"root"


async def test_an_early_answer_does_not_read_the_body_and_closes(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhalf")
        head, _ = await client.response()
        assert head.startswith(b"HTTP/1.1 401")
        assert b"Connection: close" in head
        client.send(GET)  # is body, never a request
        client.writer.close()
        assert await client.rest() == b""
        assert len(house.service.seen) == 1


async def test_continue_is_sent_only_when_the_body_is_asked_for(pair):
    request = b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(request % b"echo")
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert (await client.response())[1] == b"body"
        other = await house.connect()
        other.send(request % b"early")
        assert (await other.head()).startswith(b"HTTP/1.1 401")


async def test_a_declared_length_beyond_the_cap_is_refused_unread(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 413")
        assert house.service.refused == ["content_length_over_cap"]


async def test_a_chunked_body_is_cut_at_the_cap(pair):
    chunk = b"7d00\r\n" + b"x" * 32000 + b"\r\n"
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 4)
        assert (await client.head()).startswith(b"HTTP/1.1 413")
        assert house.service.refused == ["body_over_cap"]


async def test_a_chunked_body_is_read_whole(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        )
        assert (await client.response())[1] == b"abcde"


async def test_a_slow_body_is_refused_at_its_deadline(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"POST /hasty HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab")
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 408")
        assert b"Connection: close" in head
        assert house.service.refused == ["body_deadline"]


async def test_broken_chunks_are_refused_at_once(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await until(lambda: len(house.service.seen) == 1)
        client.send(b"ZZ\r\n" + GET)
        assert statuses(await client.rest()) == [400]
        assert house.service.refused == ["body_framing"]


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"GET /", b"a"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-", b"a"),
        (b"\r\n", b"\r\n"),
        (GET + b"GET /", b"a"),
    ],
    ids=["line", "headers", "crlf", "second"],
)
async def test_slow_headers_are_closed_at_their_deadline(pair, first, drip):
    """Though bytes keep coming: each of them would put off a deadline that ran from the newest."""
    async with open_house(pair, header_timeout_s=QUICK) as house:
        client = await house.connect()
        client.send(first)
        dripping = asyncio.create_task(drip_into(client, drip))
        answers = await client.rest()
        dripping.cancel()
    assert len(statuses(answers)) == first.count(b"\r\n\r\n")


async def drip_into(client: Client, drip: bytes) -> None:
    while True:
        await asyncio.sleep(0.05)
        client.send(drip)


async def test_a_head_that_goes_on_and_on_is_refused(pair):
    field = b"X-%d: " + b"v" * 8000 + b"\r\n"
    async with open_house(pair) as house:
        client = await house.connect()
        for _ in range(3):  # a head of usual size before and after another: each is counted on its own
            client.send(GET[:-2] + field % 0 + field % 1)
            client.send(b"\r\n")
            assert (await client.response())[1] == b"root"
        for number in range(12):
            client.send((GET[:-2] if not number else b"") + field % number)
            await asyncio.sleep(0)
        assert statuses(await client.rest()) == [400]
        assert house.service.framing == [("127.0.0.1", "header_too_long")]
        assert len(house.service.seen) == 3


async def test_headers_in_time_stop_the_clock(pair):
    async with open_house(pair, header_timeout_s=PATIENCE_S) as house:
        client = await house.connect()
        client.send(GET[:10])
        await until(lambda: any(connection._head._timer for connection in house.server.connections))
        client.send(GET[10:] + b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.response()
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        assert [connection._head._timer for connection in house.server.connections] == [None]
        house.service.release.set()
        assert (await client.response())[1] == b"held"


async def test_late_headers_do_not_cut_the_answer_before_them(pair):
    async with open_house(pair, header_timeout_s=QUICK) as house:
        client = await house.connect()
        client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        client.send(b"GET / HT")
        await asyncio.sleep(QUICK * 1.5)
        house.service.release.set()
        assert (await client.response())[1] == b"held"
        assert await client.rest() == b""


async def test_a_silent_connection_is_closed(pair):
    async with open_house(pair, idle_timeout_s=IN_TIME) as house:
        assert await (await house.connect()).rest() == b""
        client = await house.connect()
        client.send(GET)
        await client.response()
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "message",
    [
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + GET,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + GET,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n" + GET,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nContent-Length: 4\r\n\r\nabcd" + GET,
        b"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd" + GET,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 04\r\n\r\nabcd" + GET,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n" + GET,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd" + GET,
        b"GET / HTTP/1.1\r\n\r\n" + GET,
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n" + GET,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + GET,
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
        b"GET http://[]@/@?_ HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
        b"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n" + GET,
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 9000 + b"\r\n\r\n" + GET,
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: b\r\n" * 70 + b"\r\n" + GET,
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
        b"canary-input / HTTP/1.1\r\n\r\n" + GET,
        b"\x16\x03\x01\x02\x00canary-input",
    ],
)
async def test_unfit_framing_gets_one_400_without_echo_and_the_connection_closes(pair, message):
    async with open_house(pair) as house:
        answers = await (await house.connect()).ask(message)
    assert statuses(answers) == [400]
    assert b"Connection: close" in answers
    for secret in (b"canary", b"bbbb", b"aiohttp", b"Python"):
        assert secret not in answers


async def test_the_audit_log_hears_of_what_the_parser_refused(pair):
    async with open_house(pair) as house:
        await (await house.connect()).ask(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 9000 + b"\r\n\r\n")
        await (await house.connect()).ask(b"GET / HTTP/1.1\r\nHost: a\r\n X: a\r\n\r\n")
        assert house.service.framing == [("127.0.0.1", "header_too_long"), ("127.0.0.1", "framing")]


async def test_an_upgrade_is_never_made_and_closes(pair):
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\n\r\n"
    async with open_house(pair) as house:
        ignored = await (await house.connect()).ask(upgrade % b"h2c" + GET)
        refused = await (await house.connect()).ask(upgrade % b"websocket" + GET)
    assert statuses(ignored) == [200]
    assert statuses(refused) == [426]


async def test_a_client_that_leaves_cancels_the_handler(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        client.writer.close()
        assert await asyncio.wait_for(house.service.ended.get(), PATIENCE_S) == "CancelledError"
        await until(lambda: house.listener.open_connections == 0)


async def test_a_client_that_leaves_in_mid_stream_cancels_the_handler(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        client.writer.transport.abort()
        assert await asyncio.wait_for(house.service.ended.get(), PATIENCE_S) == "CancelledError"


async def test_a_handler_that_ends_quietly_without_its_client_is_no_bug(pair):
    async with open_house(pair) as house:
        with capture_logs() as logs:
            client = await house.connect()
            client.send(b"GET /stubborn HTTP/1.1\r\nHost: a\r\n\r\n")
            await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
            client.writer.transport.abort()
            await until(lambda: house.server.connections[0].transport is None)
            house.service.release.set()
            await until(lambda: house.listener.open_connections == 0)
    assert logs == []


async def test_a_client_that_leaves_in_its_body_cancels_the_handler(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab")
        await until(lambda: len(house.service.seen) == 1)
        client.writer.transport.abort()
        assert await asyncio.wait_for(house.service.ended.get(), PATIENCE_S) in {"CancelledError", "ClientGone"}
        await until(lambda: house.listener.open_connections == 0)


async def test_a_client_that_does_not_read_is_dropped(pair):
    async with open_house(pair, write_timeout_s=QUICK) as house:
        client = await house.connect()
        client.writer.transport.pause_reading()
        client.send(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await asyncio.wait_for(house.service.ended.get(), PATIENCE_S) == "ClientGone"
        await until(lambda: house.listener.open_connections == 0)


async def test_a_bug_answers_500_without_its_text(pair, capsys):
    async with open_house(pair) as house:
        answers = await (await house.connect()).ask(b"GET /bug HTTP/1.1\r\nHost: a\r\n\r\n")
        silent = await (await house.connect()).ask(b"GET /silence HTTP/1.1\r\nHost: a\r\n\r\n")
    assert statuses(answers) == statuses(silent) == [500]
    output = capsys.readouterr()
    assert b"canary" not in answers
    assert "canary" not in output.out + output.err


async def test_a_bug_in_mid_answer_cuts_it_visibly(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        answers = await client.ask(b"GET /late_bug HTTP/1.1\r\nHost: a\r\n\r\n")
        older = await house.connect()
        older.send(b"GET /late_bug HTTP/1.0\r\n\r\n")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(older.reader.readexactly(10_000), PATIENCE_S)
    assert answers.endswith(b"4\r\npart\r\n")


async def test_a_drain_closes_idle_connections_and_finishes_busy_ones(pair):
    async with open_house(pair) as house:
        fresh, idle, busy = [await house.connect() for _ in range(3)]
        idle.send(GET)
        await idle.response()
        busy.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        closing = asyncio.create_task(house.listener.close(PATIENCE_S))
        assert await fresh.rest() == b""
        assert await idle.rest() == b""
        with pytest.raises(OSError):  # noqa: PT011  # refused, or reset where the kernel still had it
            await house.connect()
        assert not closing.done()
        house.service.release.set()
        answers = await busy.rest()
        await asyncio.wait_for(closing, PATIENCE_S)
    assert answers.endswith(b"held")
    assert b"Connection: close" in answers


async def test_a_drain_lets_a_body_arrive(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        await until(lambda: len(house.service.seen) == 1)
        closing = asyncio.create_task(house.listener.close(PATIENCE_S))
        await asyncio.sleep(0)
        client.send(b"cd")
        assert (await client.rest()).endswith(b"\r\n\r\nabcd")
        await asyncio.wait_for(closing, PATIENCE_S)


async def test_a_drain_closes_after_an_answer_that_promised_to_stay(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        closing = asyncio.create_task(house.listener.close(PATIENCE_S))
        await asyncio.sleep(0)
        house.service.release.set()
        answers = await client.rest()
        await asyncio.wait_for(closing, PATIENCE_S)
    assert b"Connection: close" not in answers
    assert answers.endswith(b"5\r\nfirst\r\n0\r\n\r\n")


async def test_a_drain_does_not_wait_for_a_handler_that_will_not_end(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"GET /stubborn HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        await asyncio.wait_for(house.listener.close(0.0), PATIENCE_S)
        assert await client.rest() == b""


async def test_a_drain_cancels_what_runs_past_its_grace(pair):
    async with open_house(pair) as house:
        client = await house.connect()
        client.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(house.service.holding.wait(), PATIENCE_S)
        await asyncio.wait_for(house.listener.close(QUICK), PATIENCE_S)
        assert house.service.ended.get_nowait() == "CancelledError"
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
        assert house.listener.open_connections == 0


async def test_a_peer_that_is_not_allowed_is_closed_before_the_handshake(pair):
    asked: list[object] = []
    async with open_house(pair, lambda address: bool(asked.append(address))) as house:
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await house.connect()
        assert asked == [ip_address("127.0.0.1")]
        assert house.listener.counts.refused_address == 1
        assert house.listener.counts.accepted == 0


async def test_connections_beyond_the_cap_are_closed_and_counted(pair):
    async with open_house(pair, max_connections=2) as house:
        first = await house.connect()
        await house.connect()
        await until(lambda: house.server.open_connections == 2)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await house.connect()
        assert house.listener.counts.refused_full == 1
        first.writer.close()
        await until(lambda: house.listener.open_connections == 1)
        client = await house.connect()
        client.send(GET)
        assert (await client.response())[1] == b"root"


async def test_a_handshake_that_never_comes_is_given_up(pair):
    async with open_house(pair, handshake_timeout_s=QUICK) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        await until(lambda: house.listener.open_connections == 1)
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        await until(lambda: house.listener.counts.handshakes_failed == 1 and house.listener.open_connections == 0)
        writer.close()


async def test_plain_text_on_the_tls_port_fails_the_handshake(pair):
    async with open_house(pair) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(GET)
        answer_bytes = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert b"HTTP" not in answer_bytes
        await until(lambda: house.listener.counts.handshakes_failed == 1)
        writer.close()


async def test_a_close_gives_up_handshakes(pair):
    async with open_house(pair) as house:
        _, writer = await asyncio.open_connection("127.0.0.1", house.port)
        await until(lambda: house.listener.open_connections == 1)
        await asyncio.wait_for(house.listener.close(PATIENCE_S), PATIENCE_S)
        assert house.listener.open_connections == 0
        writer.close()


async def test_without_file_descriptors_it_waits_and_goes_on(pair):
    async with open_house(None) as house:
        waiting = socket.socket()
        waiting.setblocking(False)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, hard))
        try:
            with pytest.raises(BlockingIOError):
                waiting.connect(("127.0.0.1", house.port))
            await until(lambda: house.listener.counts.accept_faults >= 1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(waiting, GET)
        assert (await asyncio.wait_for(loop.sock_recv(waiting, 100), PATIENCE_S)).startswith(b"HTTP/1.1 200")
        waiting.close()


async def test_without_tls_only_when_the_settings_say_so(pair):
    async with open_house(None) as house:
        client = await house.connect()
        client.send(GET)
        head, _ = await client.response()
        assert b"Strict-Transport-Security" not in head
        assert house.service.seen[0].tls is None
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = HttpServer(Service(), ListenSettings(), "public", lambda *_: None)
        listener = Listener(
            listening, ListenSettings(), tls=lambda: None, peer_allowed=lambda _: True, connections=server
        )
        with pytest.raises(NoTlsContext):
            listener.start()


async def test_a_context_that_went_away_lets_nobody_in(pair):
    contexts: list[ssl.SSLContext | None] = [server_context(*pair, now=datetime.now(UTC))]
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    service = Service()
    server = HttpServer(service, ListenSettings(), "public", lambda *_: None)
    listener = Listener(
        listening, ListenSettings(), tls=lambda: contexts[0], peer_allowed=lambda _: True, connections=server
    )
    listener.start()
    contexts[0] = None
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    with suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    writer.close()
    await listener.close(0.0)
    assert service.seen == []


async def test_a_second_stop_changes_nothing(pair):
    async with open_house(pair) as house:
        house.listener.stop_accepting()
        house.listener.stop_accepting()
        with pytest.raises(OSError) as refused:  # noqa: PT011
            await house.connect()
        assert refused.value.errno in {errno.ECONNREFUSED, errno.ECONNRESET}
