"""The sizes of TLS records that a thousand padded streams show to whoever watches the line: at most four.

A made-up engine writes texts of random length, with long tool-like pieces among them, in both dialects that stream;
the real listener and flow serve them; a raw socket reads the records' headers as the line shows them. Plain streams
are measured beside them, since a bound that plain streaming keeps too would prove nothing.
"""

import asyncio
import contextlib
import json
import random
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from gateway.configuration.settings import ListenSettings
from gateway.http.http_handler import HttpServer
from gateway.http.listener import Listener
from gateway.http.tls_context import server_context
from gateway.incoming import Incoming, Reply
from gateway.request import handle
from gateway.stream_shape import StreamMode
from policies.call import Event, Final, Text, Usage
from policies.policy import AddressLimits, KeyLimits, Team
from tests.authority import Authority
from tests.flow.gates import TestGate

STREAMS = 1000
MOST_SIZES = 4
HEADER_BYTES = 5  # of a TLS record: type, version, length (RFC 8446 section 5.1)
PATIENCE_S = 30.0
PATHS = ("/api/chat", "/v1/chat/completions")


class Line:
    """A client's TLS over a raw socket, which counts the records that the server sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader, self._writer = reader, writer
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname="localhost")
        self.sizes: list[int] = []

    async def shake_hands(self) -> None:
        """The whole handshake."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                await self._record()
            else:
                return self._flush()

    def send(self, data: bytes) -> None:
        """A request; what is counted begins here."""
        self.sizes.clear()
        self._tls.write(data)
        self._flush()

    async def read_until(self, end: bytes) -> bytes:
        """What the server wrote, up to `end`, record by record."""
        data = b""
        while not data.endswith(end):
            try:
                data += self._tls.read(65536)
            except ssl.SSLWantReadError:
                self.sizes.append(await self._record())
        return data

    async def read_goodbye(self) -> None:
        """Until the server closed its side, which is a record too; and close ours."""
        self.sizes.append(await self._record())
        assert self._tls.read() == b"", "more than the end of a stream"
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        self._writer.close()

    async def _record(self) -> int:
        """One record from the line to our TLS; its size."""
        header = await self._reader.readexactly(HEADER_BYTES)
        size = int.from_bytes(header[3:])
        self._received.write(header + await self._reader.readexactly(size))
        return size

    def _flush(self) -> None:
        self._writer.write(self._to_send.read())


def script(randomness: random.Random) -> list[Event]:
    """Up to 30 pieces, one in 40 of them long, and the end."""
    lengths = [
        randomness.randint(1, 14) if randomness.random() < 0.975 else 3000 for _ in range(randomness.randint(1, 30))
    ]
    texts = [Text("".join(randomness.choices("abc é漢 \n", k=length))) for length in lengths]
    return [*texts, Final("stop", Usage(prompt_tokens=3, output_tokens=len(texts)))]


@asynccontextmanager
async def serving(folder: Path, mode: StreamMode) -> AsyncIterator[tuple[TestGate, int, ssl.SSLContext]]:
    """A gate with a made-up engine behind the real listener; its port, and what a client trusts."""
    authority = Authority(folder)
    team = Team(models=("m:latest",), stream=mode, key_limits=KeyLimits(requests_per_minute=None))
    gate = TestGate(folder, teams={"one": team}, address_limits=AddressLimits(requests_per_minute=None))
    await gate.start()

    async def serve(incoming: Incoming, reply: Reply) -> None:
        await handle(gate.gate, incoming, reply)

    context = server_context(*authority.server(), now=datetime.now(UTC))
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    server = HttpServer(serve, ListenSettings(), "public", lambda *_: None)
    listener = Listener(bound, ListenSettings(), tls=lambda: context, peer_allowed=lambda _: True, connections=server)
    listener.start()
    try:
        yield gate, port, ssl.create_default_context(cafile=str(authority.bundle))
    finally:
        await listener.close(0.0)
        await gate.close()


async def sizes_of_streams(folder: Path, streams: int, mode: StreamMode) -> dict[str, object]:
    """The record sizes of so many streams, how many records of each, and how many streams arrived whole."""
    randomness = random.Random(20260101)
    counted: dict[int, int] = {}
    async with serving(folder, mode) as (gate, port, trusted):
        for number in range(streams):
            gate.engine.script = script(randomness)
            async with asyncio.timeout(PATIENCE_S):
                for size in await _one_stream(gate.keys["one"], port, trusted, PATHS[number % 2]):
                    counted[size] = counted.get(size, 0) + 1
    return {"streams": streams, "sizes": len(counted), "records": dict(sorted(counted.items()))}


async def _one_stream(key: str, port: int, trusted: ssl.SSLContext, path: str) -> list[int]:
    line = Line(*await asyncio.open_connection("127.0.0.1", port), trusted)
    await line.shake_hands()
    # The session tickets of TLS 1.3 follow the handshake: they come before this answer, and are none of the stream.
    line.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await line.read_until(b"Ollama is running")
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    line.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await line.read_until(b"\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    assert b'"done":true' in answer or b"[DONE]" in answer
    await line.read_goodbye()
    return list(line.sizes)


def prove() -> dict[str, object]:
    """The full size, with plain streaming beside it."""
    figures: dict[str, object] = {}
    for mode in ("padded", "batched"):
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(sizes_of_streams(Path(folder), STREAMS, mode))
        assert isinstance(found["sizes"], int)
        assert found["sizes"] <= MOST_SIZES, found
        figures[mode] = found
    with tempfile.TemporaryDirectory() as folder:
        plain = asyncio.run(sizes_of_streams(Path(folder), STREAMS // 10, "plain"))
    figures["plain_sizes_in_a_tenth"] = plain["sizes"]
    return figures
