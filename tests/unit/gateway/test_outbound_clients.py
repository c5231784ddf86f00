"""The ways out: a host of the list, one beside it, and one behind a real proxy on loopback that opens tunnels."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509

from gateway.outbound import Outbound, OutboundFault, Way
from gateway.outbound_clients import OutboundClients
from policies.addresses.egress import ANYWHERE, Egress, EgressHost
from tests.authority import SERVER, Authority

HOST = "models.example"
SECRET = "a prompt that nobody on the way may read"


class Proxy:
    """Opens a tunnel to `port` of this machine, whatever host is asked for; keeps what it could read of it."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.status = b"200 OK"
        self.silent = False
        self.asked: list[list[str]] = []
        self.carried = bytearray()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.silent:
            await reader.read()  # until the other side has had enough
            writer.close()
            return
        self.asked.append(head.decode().split("\r\n")[:-2])
        writer.write(b"HTTP/1.1 %s\r\n\r\n" % self.status)
        if self.status == b"200 OK":
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                self.carried += data
                writer.write(data)
            writer.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def proxy(authority: Authority) -> AsyncIterator[Proxy]:
    """A proxy before a server that is HOST by its certificate, and tells what it was sent."""

    async def echo(request: web.Request) -> web.Response:
        assert "Proxy-Authorization" not in request.headers
        return web.Response(body=await request.read() + request.headers.get("Authorization", "").encode())

    names = (x509.DNSName(HOST), x509.IPAddress(ip_address("127.0.0.1")))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("server", usage=SERVER, names=names))
    app = web.Application()
    app.router.add_post("/", echo)
    server = TestServer(app)
    await server.start_server(ssl=context)
    proxy = Proxy(server.port or 0)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listening.sockets[0].getsockname()[1]
    yield proxy
    listening.close()
    await server.close()


def behind(proxy: Proxy, authority: Authority, login_file: str | None = None) -> Egress:
    url = f"http://127.0.0.1:{proxy.port}"
    bundle = authority.bundle.name
    return Egress(hosts=(EgressHost(host=HOST, ca_file=bundle, proxy=url, proxy_login_file=login_file),))


def open_client(egress: Egress, home: Path, url: str = f"https://{HOST}", ca_file: str | None = None) -> Outbound:
    clients = OutboundClients(egress, home)
    return clients.open(url, ca_file=ca_file, api_key="k", connect_timeout_s=30.0, idle_timeout_s=30.0)


async def fault_of(client: Outbound) -> str:
    with pytest.raises(OutboundFault) as fault:
        await client.fetch("POST", "/", SECRET.encode())
    await client.close()
    return str(fault.value)


async def test_through_a_proxy_that_reads_nothing(tmp_path: Path, authority: Authority, proxy: Proxy) -> None:
    (tmp_path / "login").write_text("corral:p:ss word\n")
    client = open_client(behind(proxy, authority, "login"), tmp_path)
    assert await client.fetch("POST", "/", SECRET.encode()) == f"{SECRET}Bearer k".encode()
    await client.close()
    [head] = proxy.asked
    assert head[0] == f"CONNECT {HOST}:443 HTTP/1.1"
    login = base64.b64encode(b"corral:p:ss word").decode()
    assert f"Proxy-Authorization: Basic {login}" in head
    assert not any("Bearer" in line or "Python" in line for line in head), (
        "aiohttp 3.14.5 hands a session's Authorization to the proxy"
    )
    assert proxy.carried
    assert SECRET.encode() not in proxy.carried


async def test_the_environments_proxies_are_not_asked(
    tmp_path: Path, authority: Authority, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    client = open_client(ANYWHERE, tmp_path, f"https://127.0.0.1:{proxy.target}", authority.bundle.name)
    assert (await client.fetch("POST", "/", b"x")).startswith(b"x")
    await client.close()
    assert proxy.asked == []


async def test_a_proxy_cannot_stand_for_the_host(tmp_path: Path, authority: Authority, proxy: Proxy) -> None:
    other = Authority(tmp_path, "another authority")
    egress = behind(proxy, authority)
    assert "Certificate" in await fault_of(open_client(egress, tmp_path, ca_file=other.bundle.name))
    assert proxy.asked


async def test_a_proxy_that_refuses(tmp_path: Path, authority: Authority, proxy: Proxy) -> None:
    proxy.status = b"407 Proxy Authentication Required"
    assert await fault_of(open_client(behind(proxy, authority), tmp_path)) == "the proxy answered with status 407"
    assert not any("Authorization" in line for line in proxy.asked[0])


async def test_a_proxy_that_says_nothing(tmp_path: Path, authority: Authority, proxy: Proxy) -> None:
    """The bounds on connecting and on silence are of sockets; waiting for a tunnel is neither."""
    proxy.silent = True
    clients = OutboundClients(behind(proxy, authority), tmp_path)
    client = clients.open(f"https://{HOST}", ca_file=None, connect_timeout_s=0.1, idle_timeout_s=0.1)
    async with asyncio.timeout(30):
        with pytest.raises(OutboundFault, match="Timeout"):
            async with client.lines("/", b"{}") as lines:
                await anext(lines)
    await client.close()


async def test_a_scheme_in_capitals_is_no_way_around_the_bundle(
    tmp_path: Path, authority: Authority, proxy: Proxy
) -> None:
    client = open_client(behind(proxy, authority), tmp_path, f"HTTPS://{HOST}")
    assert await client.fetch("POST", "/", b"x") == b"xBearer k"
    await client.close()
    other = Authority(tmp_path, "another authority")
    assert "Certificate" in await fault_of(
        open_client(behind(proxy, authority), tmp_path, f"HTTPS://{HOST}", ca_file=other.bundle.name)
    )


async def test_a_proxy_that_is_away(tmp_path: Path, authority: Authority, proxy: Proxy) -> None:
    proxy.port = 1
    assert "Proxy" in await fault_of(open_client(behind(proxy, authority), tmp_path))


@pytest.mark.parametrize(
    "url", [f"https://{HOST}:444", "https://169.254.169.254", f"http://{HOST}:443", "redis+unix:///x"]
)
async def test_what_is_not_named_has_no_client(tmp_path: Path, authority: Authority, proxy: Proxy, url: str) -> None:
    with pytest.raises(OutboundFault):
        open_client(behind(proxy, authority), tmp_path, url)
    assert proxy.asked == []


@pytest.mark.parametrize("text", ["", "corral", "corral:two\nlines", "corral:\u20ac", "corral:" + "x" * 2000])
async def test_a_login_that_is_none(tmp_path: Path, authority: Authority, proxy: Proxy, text: str) -> None:
    (tmp_path / "login").write_text(text)
    with pytest.raises(OutboundFault, match="login must hold user:password in one line"):
        open_client(behind(proxy, authority, "login"), tmp_path)


async def test_files_that_are_away(tmp_path: Path, authority: Authority, proxy: Proxy) -> None:
    with pytest.raises(OutboundFault, match=r"login cannot be used: No such file"):
        open_client(behind(proxy, authority, "login"), tmp_path)
    with pytest.raises(OutboundFault, match=r"gone\.pem cannot be used: No such file"):
        open_client(ANYWHERE, tmp_path, ca_file="gone.pem")


def test_a_proxy_reads_no_clear_text() -> None:
    with pytest.raises(ValueError, match="in clear"):
        Outbound("http://a.example", connect_timeout_s=1.0, idle_timeout_s=1.0, way=Way(proxy="http://p:1"))
    assert "secret" not in repr(Way(proxy="http://p:1", proxy_login=("user", "secret")))
