"""The one outbound HTTP client: upstreams, and whatever else Corral itself may call.

Never takes proxies, cookies or credentials from the environment; follows no redirect; reads no
compressed body; a line of a stream is bounded.
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

MAX_LINE_BYTES = 8 * 1024 * 1024
"""Ollama's own client stops at 8 MB a line (bufio.Scanner), so no honest line is longer."""
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_REFUSAL_BYTES = 1024 * 1024


class OutboundFault(Exception):
    """The other server could not be reached, or broke the protocol. The text holds nothing it sent."""


class OutboundRefused(Exception):
    """The other server answered with `status` (not 2xx) and `body` (bounded)."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body


class Outbound:
    """A client for one base URL."""

    def __init__(
        self,
        base_url: str,
        *,
        ca_file: Path | None,
        api_key: str,
        connect_timeout_s: float,
        idle_timeout_s: float,
        unsafe_any_certificate: bool = False,
    ) -> None:
        """`unsafe_any_certificate` is for questions that hold no secret, and whose answer nobody trusts."""
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._tls = (
            _tls_context(ca_file, verified=not unsafe_any_certificate) if base_url.startswith("https:") else False
        )
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s, sock_read=idle_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    def show_password(self, user: str, password: str) -> None:
        """Show these with every request (RFC 7617), in place of a key; before the first one only."""
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"}

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        max_body_bytes: int | None = None,
        total_s: float | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """One whole answer, of at most `max_body_bytes` (64 MiB), within `total_s` seconds from first to last.

        `content_type` is that of `body`.

        Raises OutboundRefused for a status that is not 2xx, OutboundFault for the rest.
        """
        try:
            async with asyncio.timeout(total_s), self._request(method, path, body, content_type) as response:
                return await _read_bounded(response, max_body_bytes or MAX_BODY_BYTES)
        except TimeoutError:
            raise OutboundFault("answer too slow") from None

    async def status(self, method: str, path: str, body: bytes, *, total_s: float) -> int:
        """The status of an answer, whichever it is; its body is not waited for. Raises OutboundFault."""
        try:
            async with asyncio.timeout(total_s), self._send(method, path, body) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise OutboundFault(type(fault).__name__) from None

    @contextlib.asynccontextmanager
    async def lines(self, path: str, body: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        """POST `body` and iterate the answer's lines; leaving the block closes the connection."""
        async with self._request("POST", path, body) as response:
            yield _lines(response)

    @contextlib.asynccontextmanager
    async def _request(
        self, method: str, path: str, body: bytes | None, content_type: str = "application/json"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._send(method, path, body, content_type) as response:
                if not 200 <= response.status < 300:
                    raise OutboundRefused(response.status, await _read_bounded(response, MAX_REFUSAL_BYTES))
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise OutboundFault(type(fault).__name__) from None

    def _send(
        self, method: str, path: str, body: bytes | None, content_type: str = "application/json"
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        url = self._base_url + path
        headers = {"Content-Type": content_type}
        return self._client().request(
            method, url, data=body, headers=headers, allow_redirects=False, ssl=self._tls or True
        )

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
                read_bufsize=MAX_LINE_BYTES,
            )
        return self._session


def _tls_context(ca_file: Path | None, *, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _read_bounded(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():  # `read(n)` would stop at what has arrived so far
        body += chunk
        if len(body) > max_bytes:
            raise OutboundFault("answer too large")
    return bytes(body)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    pending = bytearray()  # what came of a line so far; only new bytes are searched, so a dripped line costs no more
    async for chunk in response.content.iter_any():
        first, *others = chunk.split(b"\n")
        pending += first
        for start in others:
            yield bytes(pending)
            pending = bytearray(start)
        if len(pending) > MAX_LINE_BYTES:
            raise OutboundFault("line too long")
    if pending:
        yield bytes(pending)
