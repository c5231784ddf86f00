"""The one outbound HTTP client: upstreams, and whatever else Corral itself may call.

Never takes proxies, cookies or credentials from the environment; follows no redirect; reads no
compressed body; a line of a stream is bounded.
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to get to a host.

    `ca_file` is a PEM bundle of whom to trust in place of the system's authorities. `proxy` is the URL of an HTTP proxy
    that is asked for a tunnel, for https alone, `proxy_login` who we are there: user and password.
    `unsafe_any_certificate` is for questions that hold no secret, and whose answer nobody trusts.
    """

    ca_file: Path | None = None
    proxy: str | None = None
    proxy_login: tuple[str, str] | None = field(default=None, repr=False)
    unsafe_any_certificate: bool = False


STRAIGHT = Way()


class Outbound:
    """A client for one base URL."""

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
        api_key: str = "",
        way: Way = STRAIGHT,
    ) -> None:
        """Raises OSError for a bundle that cannot be used, ValueError for a proxy before what is not https."""
        over_tls = base_url[: len("https:")].lower() == "https:"
        if way.proxy is not None and not over_tls:
            raise ValueError("a proxy would read what is sent in clear")
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._tls = _tls_context(way) if over_tls else False
        self._proxy = way.proxy
        self._proxy_headers = {"User-Agent": "corral"}  # else aiohttp tells the proxy our versions
        if way.proxy_login is not None:
            self._proxy_headers["Proxy-Authorization"] = _basic(*way.proxy_login)
        # `sock_connect` is for each address of the host, `connect` for all of them and for a proxy's answer, which
        # neither of the other two bounds.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=2 * connect_timeout_s, sock_connect=connect_timeout_s, sock_read=idle_timeout_s
        )
        self._session: aiohttp.ClientSession | None = None

    def show_password(self, user: str, password: str) -> None:
        """Show these with every request, in place of a key; before the first one only."""
        self._headers = {"Authorization": _basic(user, password)}

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
            raise OutboundFault(_told(fault)) from None

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
            raise OutboundFault(_told(fault)) from None

    def _send(
        self, method: str, path: str, body: bytes | None, content_type: str = "application/json"
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        url = self._base_url + path
        # Not the session's: aiohttp shows a session's Authorization to the proxy too, as its own, before TLS begins.
        headers = {**self._headers, "Content-Type": content_type}
        return self._client().request(
            method,
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            ssl=self._tls or True,
            proxy=self._proxy,
            proxy_headers=self._proxy_headers if self._proxy is not None else None,
        )

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
                read_bufsize=MAX_LINE_BYTES,
            )
        return self._session


def _told(fault: Exception) -> str:
    """The fault in a word, with nothing in it that the other side wrote."""
    if isinstance(fault, aiohttp.ClientHttpProxyError):
        return f"the proxy answered with status {fault.status}"
    return type(fault).__name__


def _basic(user: str, password: str) -> str:
    """RFC 7617."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _tls_context(way: Way) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=way.ca_file)
    if way.unsafe_any_certificate:
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
