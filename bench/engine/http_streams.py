"""One client process that reads streamed answers over HTTP: the same code for every server.

It notes when each piece of text came and looks into a line only as far as it must; the last line tells how many
tokens there were.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from bench.engine.sample import Sample, Stream, sample_of
from bench.engine.workload import Load, Prompt

RUN_WITHIN_S = 600.0
IDLE_S = 2.0
"""An idle connection is given up before any server does, so that none is used as it ends."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server is asked and read.

    `body` makes a request, `is_text` says whether a line brings text, `count` reads the tokens out of the whole lines
    of an answer.
    """

    path: str
    body: Callable[[Load, Prompt], dict[str, Any]]
    is_text: Callable[[bytes], bool]
    count: Callable[[list[bytes]], int]


class HttpStreams:
    """Connections to one server: kept within a load where there is TLS, else one a request (httplib ends them)."""

    def __init__(self, url: str, dialect: Dialect, *, key: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._url = url + dialect.path
        self._dialect = dialect
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._tls = tls
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._session = self._runner.run(self._open())
        return self

    def __exit__(self, *fault: object) -> None:
        self._runner.run(self._session.close())
        self._runner.close()

    def run(self, name: str, load: Load, prompts: Sequence[Prompt], number: int) -> Sample:
        """All requests, `load.streams` at a time. Raises RuntimeError for any answer but 200."""
        return self._runner.run(asyncio.wait_for(self._run(name, load, prompts, number), RUN_WITHIN_S))

    async def _open(self) -> aiohttp.ClientSession:
        if self._tls is not None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls, keepalive_timeout=IDLE_S)
        else:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    async def _run(self, name: str, load: Load, prompts: Sequence[Prompt], number: int) -> Sample:
        bodies = iter([json.dumps(self._dialect.body(load, prompt)).encode() for prompt in prompts])
        streams: list[Stream] = []
        began_s = time.perf_counter()

        async def one_after_another() -> None:
            for body in bodies:
                stream = Stream()
                streams.append(stream)
                await self._one(body, stream, began_s)

        async with asyncio.TaskGroup() as together:
            for _ in range(load.streams):
                together.create_task(one_after_another())
        return sample_of(name, load, number, time.perf_counter() - began_s, streams)

    async def _one(self, body: bytes, stream: Stream, began_s: float) -> None:
        headers = {**self._headers, "Content-Type": "application/json"}
        lines: list[bytes] = []
        async with self._session.post(self._url, data=body, headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(f"{self._url} answered {response.status}: {(await response.text())[:300]}")
            async for line in response.content:
                if self._dialect.is_text(line):
                    stream.stamps_s.append(time.perf_counter() - began_s)
                if len(line) > 2:
                    lines.append(line)
        stream.tokens = self._dialect.count(lines)
