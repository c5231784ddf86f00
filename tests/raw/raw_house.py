"""The real listener and the whole request flow over fakes, asked with raw bytes on a loopback socket.

Invariants of every case in this folder:
- There are never more answers than well-formed requests, and no answer is a 5xx that the case does not name.
- After a message that cannot be read in one way only, the connection is closed: what follows is not answered.
Each case is followed by one more request (SENTINEL) that tells whether the connection lived on.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from ssl import SSLContext
from typing import Any, NamedTuple

from gateway.configuration.settings import ListenSettings
from gateway.http.door import Door
from gateway.http.http_handler import HttpServer
from gateway.http.listener import Listener
from gateway.incoming import Incoming, Reply
from gateway.request import handle
from policies.audit_record import Source
from policies.policy import AddressLimits, KeyLimits, Team
from tests.flow.gates import TestGate

PATIENCE_S = 30.0
"""Bounds a hang: where all is well nobody waits for it."""
SENTINEL = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false}'
# A thousand cases come from one address with one key in no time, since the clock stands still.
UNBOUND: dict[str, Any] = {
    "teams": {
        "one": Team(models=("m:latest",), key_limits=KeyLimits(requests_per_minute=None)),
        "two": Team(models=("*",), key_limits=KeyLimits(requests_per_minute=None)),
    },
    "address_limits": AddressLimits(requests_per_minute=None),
}
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n")


class Case(NamedTuple):
    """Bytes, the answers they must get (each one of a set), and whether the connection lives on."""

    name: str
    sent: bytes
    answers: tuple[frozenset[int], ...]
    lives: bool = False


class Told(NamedTuple):
    """What came back."""

    raw: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in _STATUS.findall(self.raw)]


def refused(name: str, sent: bytes, *statuses: int) -> Case:
    """One answer, 400 unless `statuses` say otherwise, and the end of the connection."""
    return Case(name, sent, (frozenset(statuses or (400,)),))


def served(name: str, sent: bytes, *statuses: int) -> Case:
    """A control: well-formed, so each status in turn, and the connection lives on."""
    return Case(name, sent, tuple(frozenset({status}) for status in statuses or (200,)), lives=True)


class RawHouse:
    """A listener with the flow behind it."""

    def __init__(self, gate: TestGate, listener: Listener, server: HttpServer, port: int) -> None:
        self.gate = gate
        self.listener = listener
        self.server = server
        self.port = port
        self.rejected: list[str] = []

    @property
    def key(self) -> bytes:
        return self.gate.keys["one"].encode()

    def request(
        self,
        method: bytes = b"POST",
        target: bytes = b"/api/chat",
        headers: Iterable[bytes] = (),
        body: bytes = b"",
        *,
        version: bytes = b"HTTP/1.1",
        host: bytes = b"localhost",
        known: bool = True,
    ) -> bytes:
        """A head with Host and key, the given header lines, and a body without any header of its own."""
        lines = [b"%b %b %b" % (method, target, version), b"Host: " + host]
        if known:
            lines.append(b"Authorization: Bearer " + self.key)
        return b"\r\n".join([*lines, *headers, b"", b""]) + body

    def chat(self, *headers: bytes, body: bytes = CHAT) -> bytes:
        """A well-formed chat, with further headers."""
        return self.request(headers=(b"Content-Length: %d" % len(body), *headers), body=body)

    def chunked(self, framed: bytes, *headers: bytes) -> bytes:
        """A chat whose body is `framed` already."""
        return self.request(headers=(b"Transfer-Encoding: chunked", *headers), body=framed)

    async def ask(self, sent: bytes, answers: int | None = None, address: str = "127.0.0.1") -> Told:
        """Everything until the server closes, or until there are `answers` answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        raw, closed = b"", False
        try:
            writer.write(sent)
            async with asyncio.timeout(PATIENCE_S):
                while not closed and (answers is None or len(_STATUS.findall(raw)) < answers):
                    part = await reader.read(65536)
                    raw, closed = raw + part, not part
        except (ConnectionError, TimeoutError) as fault:
            closed = isinstance(fault, ConnectionError)
        finally:
            writer.transport.abort()
        return Told(raw, closed)

    async def fault(self, case: Case) -> str:
        """What is wrong with the answer to `case`; empty for nothing."""
        told = await self.ask(case.sent + SENTINEL, len(case.answers) + 1 if case.lives else None)
        expected = (*case.answers, frozenset({200})) if case.lives else case.answers
        fits = len(told.statuses) == len(expected) and all(
            status in allowed for status, allowed in zip(told.statuses, expected, strict=True)
        )
        if fits and told.closed is not case.lives:
            return ""
        wanted = [sorted(each) for each in expected]
        return f"{case.name}: {told.statuses}, closed {told.closed}, instead of {wanted}, closed {not case.lives}"

    async def faults(self, cases: Iterable[Case]) -> list[str]:
        """All that is wrong with the answers to `cases`."""
        found = [await self.fault(case) for case in cases]
        assert self.gate.bugs == []
        return [fault for fault in found if fault]


@asynccontextmanager
async def raw_house(
    folder: Path, policy: dict[str, Any] | None = None, tls: SSLContext | None = None, **settings: Any
) -> AsyncIterator[RawHouse]:
    """The house; `settings` are those of its public listener, which is in clear without `tls`."""
    gate = await TestGate(folder, **{**UNBOUND, **(policy or {})}).start()
    chosen = ListenSettings(unsafe_no_tls=tls is None, **settings)
    gate.gate.doors["public"] = Door(chosen, lambda: ("gate.example", "*.wild.example", "192.0.2.7"))
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = listening.getsockname()[1]

    async def serve(incoming: Incoming, reply: Reply) -> None:
        await handle(gate.gate, incoming, reply)

    def on_framing_error(peer: str, reason: str, request_id: str) -> None:
        house.rejected.append(reason)
        gate.gate.audit.rejected_later(Source(peer=peer, listener="public"), reason, request_id)

    server = HttpServer(serve, chosen, "public", on_framing_error)
    listener = Listener(
        listening,
        chosen,
        tls=lambda: tls,
        peer_allowed=lambda address: address in LOOPBACK,
        connections=server,
    )
    house = RawHouse(gate, listener, server, port)
    listener.start()
    try:
        yield house
    finally:
        await listener.close(0.0)
        await gate.close()


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until `true`, or fail."""
    async with asyncio.timeout(PATIENCE_S * 2):
        while not true():  # noqa: ASYNC110  # what is waited for is the kernel's or the server's, not ours
            await asyncio.sleep(0.005)


class _Loopback:
    def __contains__(self, address: object) -> bool:
        return ip_address(str(address)).is_loopback


LOOPBACK = _Loopback()
