"""A thousand new certificates under open connections: no request is lost, and the next connection has the new one.

The real listener and parser on loopback; files are replaced as an operator does, each by a rename. Every request on
an old connection and on a new one must be answered, and each new connection must be shown the new certificate.
"""

import asyncio
import logging
import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from gateway.configuration.settings import ListenSettings
from gateway.http.http_handler import HttpServer
from gateway.http.listener import Listener
from gateway.http.tls_reload import TlsFiles, TlsReload
from gateway.incoming import Incoming, Reply
from tests.authority import Authority, der

RELOADS = 1000
CONNECTIONS = 16
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE_S = 60.0


class Site:
    """The TLS files of a listener that demands client certificates, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.pair = self.authority.server()
        self.fresh = [self.authority.server(f"fresh-{number}") for number in range(2)]
        self.now_s = self.authority.now.timestamp()
        files = TlsFiles(
            certificate=self.pair[0],
            key=self.pair[1],
            client_ca=self.authority.bundle,
            client_crl=self.authority.revoke(),
        )
        self.notes: list[str] = []
        self.tls = TlsReload(files, {"public": "required"}, lambda event, _: self.notes.append(event), self.now_s)
        self.client = ssl.create_default_context(cafile=str(self.authority.bundle))
        self.client.load_cert_chain(*self.authority.issue("client"))

    def replace(self, number: int) -> bytes:
        """Put another pair in place, key first and certificate after it; the certificate's DER."""
        pair = self.fresh[number % 2]
        for source, target in reversed(tuple(zip(pair, self.pair, strict=True))):
            shutil.copy(source, f"{target}.new")
            Path(f"{target}.new").replace(target)
            self.tls.look(self.now_s)
        return der(pair[0])


async def answer(_incoming: Incoming, reply: Reply) -> None:
    """Two bytes."""
    await reply.start(200, [("Content-Length", "2")])
    await reply.write(b"ok")
    await reply.end()


class Caller:
    """One client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def shown(self) -> bytes:
        """The certificate that the server showed, in DER."""
        handshake = self._writer.get_extra_info("ssl_object")
        return bytes(handshake.getpeercert(binary_form=True))

    async def ask(self) -> None:
        """One request; raises when it is not answered."""
        self._writer.write(REQUEST)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert await self._reader.readexactly(2) == b"ok"

    def drop(self) -> None:
        """Let go."""
        self._writer.transport.abort()


@asynccontextmanager
async def listening(site: Site) -> AsyncIterator[tuple[Listener, int]]:
    """The real listener with the site's files, and its port."""
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    settings = ListenSettings(client_certificates="required")
    server = HttpServer(answer, settings, "public", lambda *_: None)
    listener = Listener(
        bound, settings, tls=lambda: site.tls.context("public"), peer_allowed=lambda _: True, connections=server
    )
    listener.start()
    try:
        yield listener, port
    finally:
        await listener.close(0.0)


async def reload_under_connections(folder: Path, reloads: int, connections: int) -> dict[str, int]:
    """How many requests were answered, reloads taken and handshakes failed. Raises at the first lost request."""
    site = Site(folder)
    answered = 0
    async with listening(site) as (listener, port), AsyncExitStack() as stack:

        async def call() -> Caller:
            pair = await asyncio.open_connection("127.0.0.1", port, ssl=site.client, server_hostname="localhost")
            caller = Caller(*pair)
            stack.callback(caller.drop)
            return caller

        old = [await call() for _ in range(connections)]
        for number in range(reloads):
            asking = asyncio.gather(*(caller.ask() for caller in old))
            fresh = site.replace(number)
            async with asyncio.timeout(PATIENCE_S):
                await asking
                new = await call()
                await new.ask()
            assert new.shown == fresh, "a new connection was shown an old certificate"
            answered += connections + 1
            old.append(new)
            old.pop(0).drop()
        failed = listener.counts.handshakes_failed
    return {"answered": answered, "reloaded": site.notes.count("tls.reloaded"), "handshakes_failed": failed}


def prove() -> dict[str, object]:
    """The full size."""
    # Each reload is told twice: the key came before its certificate.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = asyncio.run(reload_under_connections(Path(folder), RELOADS, CONNECTIONS))
    assert counts == {"answered": RELOADS * (CONNECTIONS + 1), "reloaded": RELOADS, "handshakes_failed": 0}, counts
    return {**counts, "requests_lost": 0, "reload_ms": round((time.monotonic() - started_s) * 1000 / RELOADS, 1)}
