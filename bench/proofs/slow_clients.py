"""1,000 slow clients from 1,000 addresses: all are gone by their deadline and a second, and a good one is served.

The real listener with TLS in a process of its own, with the deadlines it ships with. Slow are: heads and bodies
that drip, bodies that keep the least rate and no more, and readers that do not read. Before that, what a thousand idle
connections and 10,000 pipelined requests cost in memory.
"""

import asyncio
import json
import multiprocessing
import re
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import uvloop

from gateway.configuration.settings import ListenSettings
from gateway.http.http_incoming import GRACE_S, MIN_RATE_BYTES_PER_S

EACH = 250
IDLE = 1000
PIPELINED = 10_000
GOOD_REQUESTS = 400
ROUNDS = 3
"""Of the good client: others use the machine too, and the slow clients run on it themselves."""
MAX_GOOD_MS = 50.0
"""The ratio to the time alone is told and not judged: a thousand slow clients work on the same two cores."""
MAX_IDLE_KIB = 40.0
MAX_PIPELINED_KIB = 5 * 1024
SETTINGS = ListenSettings()
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LOOK_S = 0.2
PACE_S = 0.008
"""Between the first bytes of two slow clients: all at once they would measure how fast a request is read."""
ESTABLISHED = "01"
CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


class Slow(NamedTuple):
    """A kind of slow client: what it sends first, what then each second, whether it reads, and its deadline."""

    name: str
    sent: bytes
    drip: bytes
    reads: bool
    deadline_s: float


class Site(NamedTuple):
    """The gateway under attack."""

    process: subprocess.Popen[str]
    port: int
    key: bytes
    certificate: str
    context: ssl.SSLContext

    async def connect(self, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from an address of its own."""
        address = f"127.{2 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.context, server_hostname="localhost", local_addr=(address, 0)
        )

    def resident_kib(self) -> int:
        """What it holds in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def kinds(self) -> tuple[Slow, ...]:
        """The four kinds."""
        post = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + self.key + b"\r\n"
        body = post + b"Content-Length: 1000000\r\n\r\n"
        barely = b" " * (MIN_RATE_BYTES_PER_S * 5 // 4)
        return (
            Slow("heads", b"GET / HTTP/1.1\r\nX: ", b"a", True, SETTINGS.header_timeout_s),
            Slow("bodies", body, b" ", True, GRACE_S),
            Slow("bodies at the least rate", body, barely, True, SETTINGS.body_timeout_s),
            Slow(
                "readers", post + b"Content-Length: %d\r\n\r\n" % len(CHAT) + CHAT, b"", False, SETTINGS.write_timeout_s
            ),
        )


def prove() -> dict[str, object]:
    """Run it. Raises AssertionError when a bound does not hold."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, min(most, 8192)), most))  # the gateway inherits it
    return uvloop.run(_prove())


async def _prove() -> dict[str, object]:
    async with _site() as site:
        idle_kib = await _idle_cost(site)
        print(f"an idle TLS connection: {idle_kib:.1f} KiB", flush=True)
        pipelined_kib = await _pipelined_cost(site)
        print(f"{PIPELINED} pipelined requests: {pipelined_kib} KiB", flush=True)
        alone_ms = [await _good_client(site) for _ in range(ROUNDS)]
        kinds = site.kinds()
        held = [await site.connect(number) for number in range(EACH * len(kinds))]
        print(f"{len(held)} slow clients connected", flush=True)
        gone: dict[str, float] = {}
        ends = {_end_of(writer) for _, writer in held}
        watching = asyncio.create_task(_watch(site.port, ends, gone))
        slow = [
            asyncio.create_task(_late_s(kinds[number % len(kinds)], writer, gone, number * PACE_S))
            for number, (_, writer) in enumerate(held)
        ]
        await asyncio.sleep(len(held) * PACE_S)
        among_ms = [await _good_client(site) for _ in range(ROUNDS)]
        late_s = await asyncio.gather(*slow)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        alone_ms += [await _good_client(site) for _ in range(ROUNDS)]
    by_kind = {kind.name: round(max(late_s[place :: len(kinds)]), 2) for place, kind in enumerate(kinds)}
    figures = {
        "slow_clients": len(late_s), "latest_after_deadline_s": by_kind,
        "good_p99_ms": {"alone": alone_ms, "among_slow": among_ms},
        "good_p99_ratio": round(median(among_ms) / median(alone_ms), 2),
        "idle_tls_connection_kib": round(idle_kib, 1), "pipelined_10000_kib": pipelined_kib,
    }  # fmt: skip
    print(figures, flush=True)
    assert max(late_s) <= 1.0, "a slow client outlived its deadline by more than a second"
    assert idle_kib <= MAX_IDLE_KIB, "an idle TLS connection costs too much"
    assert pipelined_kib <= MAX_PIPELINED_KIB, "pipelined requests pile up"
    assert max(among_ms) <= MAX_GOOD_MS, "a good client is held up by slow ones"
    return figures


@asynccontextmanager
async def _site() -> AsyncIterator[Site]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.slow_gateway", folder]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            context = ssl.create_default_context(cafile=told["certificate"])
            yield Site(process, told["port"], told["key"].encode(), told["certificate"], context)
        finally:
            process.stdin.close()
            process.wait(timeout=60)
            process.stdout.close()


async def _idle_cost(site: Site) -> float:
    """KiB that each of IDLE connections adds to those before them."""
    held = [await site.connect(number) for number in range(100)]
    await asyncio.sleep(1)
    before_kib = site.resident_kib()
    held += [await site.connect(100 + number) for number in range(IDLE)]
    await asyncio.sleep(1)
    grown_kib = site.resident_kib() - before_kib
    for _, writer in held:
        writer.transport.abort()
    await asyncio.sleep(1)
    return grown_kib / IDLE


async def _pipelined_cost(site: Site) -> int:
    """KiB that PIPELINED requests in one piece add at most, while their answers are read."""
    reader, writer = await site.connect(0)
    writer.write(GET)
    await reader.readuntil(b"\r\n\r\n")
    before_kib, most_kib, answers = site.resident_kib(), 0, 0
    writer.write(GET * PIPELINED)
    while answers < PIPELINED:
        answers += (await reader.read(65536)).count(b"HTTP/1.1 200")
        most_kib = max(most_kib, site.resident_kib() - before_kib)
    writer.transport.abort()
    return most_kib


async def _good_client(site: Site) -> float:
    """The 99th percentile, in ms, of requests of a client that behaves, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, _ask_on_and_on, site.port, site.key, site.certificate)


def _ask_on_and_on(port: int, key: bytes, certificate: str) -> float:
    request = b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key + b"\r\n\r\n"
    context = ssl.create_default_context(cafile=certificate)
    times = []
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost") as link:
        for _ in range(GOOD_REQUESTS):
            start_s = time.perf_counter()
            link.sendall(request)
            answer = link.recv(65536)
            times.append(time.perf_counter() - start_s)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            time.sleep(0.003)
    return round(sorted(times)[len(times) * 99 // 100] * 1000, 2)


async def _late_s(kind: Slow, writer: asyncio.StreamWriter, gone: dict[str, float], wait_s: float) -> float:
    """How long after its deadline the server was rid of it, in seconds; it begins in `wait_s`."""
    await asyncio.sleep(wait_s)
    loop = asyncio.get_running_loop()
    end = _end_of(writer)
    start_s = loop.time()
    writer.write(kind.sent)
    if not kind.reads:
        writer.transport.pause_reading()
    while end not in gone:
        assert loop.time() < start_s + kind.deadline_s + 30, f"{kind.name}: never closed"
        writer.write(kind.drip)
        await asyncio.sleep(1.0)
    writer.transport.abort()
    return gone[end] - start_s - kind.deadline_s


def _end_of(writer: asyncio.StreamWriter) -> str:
    """Our end of a connection, as the kernel's table spells it."""
    address, port = writer.get_extra_info("sockname")
    return f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"


async def _watch(port: int, ends: set[str], gone: dict[str, float]) -> None:
    """Note when the server lets go of a connection with one of these far ends: it is established no more.

    The kernel is asked, since a client that does not read is not told.
    """
    loop = asyncio.get_running_loop()
    row = re.compile(rf"[0-9A-F]{{8}}:{port:04X} ([0-9A-F]{{8}}:[0-9A-F]{{4}}) {ESTABLISHED} ")
    while True:
        held = set(row.findall(Path("/proc/net/tcp").read_text(encoding="ascii")))  # noqa: ASYNC240
        for end in ends - held:
            gone.setdefault(end, loop.time())
        await asyncio.sleep(LOOK_S)
