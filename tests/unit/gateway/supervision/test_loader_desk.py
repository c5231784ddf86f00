import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.frames import PROTOCOL_VERSION, Cancel, FrameReader, Hello, encode
from engine.loader_frames import KeepAlive, LoaderAnswer, LoaderHello, Residences, Wanted
from engine.residency import Residence
from gateway.supervision import loader_desk
from gateway.supervision.listening import listen_unix
from gateway.supervision.loader_desk import LoaderDesk

RESIDENCE = Residence(name="worker-0", model="m", role="chat", needs_bytes=1, state="loaded", since_s=1.0)
HELLO = Hello(version=PROTOCOL_VERSION)


class RecordingClerk:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def wanted(
        self,
        _source: int,
        groups: tuple[tuple[str, str], ...],
        away: tuple[str, ...] = (),
        longest_answer_s: float = 0.0,
    ) -> None:
        if away or longest_answer_s:
            self.heard.append((away, longest_answer_s))
        if groups:
            self.heard.append(groups)

    def kept(self, model: str, seconds: float) -> None:
        self.heard.append((model, seconds))

    def residences(self) -> tuple[Residence, ...]:
        return (RESIDENCE,)


callers: list["Caller"] = []


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._frames = FrameReader(LoaderAnswer)
        callers.append(self)

    def send(self, *frames: Any) -> None:
        self.writer.write(b"".join(map(encode, frames)))

    async def hear(self, count: int) -> list[Any]:
        found: list[Any] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError
                found += self._frames.feed(data)
        return found

    async def is_cut(self) -> bool:
        async with asyncio.timeout(30):
            try:
                await self._reader.read()
                return True
            except ConnectionError:
                return True
            finally:
                self.writer.close()


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[tuple[LoaderDesk, RecordingClerk, Path]]:
    path, clerk = tmp_path / "loader.sock", RecordingClerk()
    with listen_unix(path) as listening:
        desk = LoaderDesk(listening, clerk)
        await desk.open()
        try:
            yield desk, clerk, path
        finally:
            await desk.close()
            while callers:
                callers.pop().writer.close()
            await asyncio.sleep(0)


async def call(path: Path) -> Caller:
    return Caller(*await asyncio.open_unix_connection(str(path)))


async def test_a_gateway_says_what_it_wants_and_hears_how_it_is(tmp_path: Path) -> None:
    async with scene(tmp_path) as (desk, clerk, path):
        assert path.stat().st_mode & 0o777 == 0o600
        caller = await call(path)
        caller.send(HELLO, Wanted(groups=(("m", "chat"),)), KeepAlive(model="m", seconds=9.0))
        assert await caller.hear(2) == [LoaderHello(version=PROTOCOL_VERSION), Residences(workers=(RESIDENCE,))]
        assert clerk.heard == [(("m", "chat"),), ("m", 9.0)]
        desk.tell(())
        assert await caller.hear(1) == [Residences(workers=())]


@pytest.mark.parametrize(
    "sent",
    [
        encode(Wanted(groups=())),
        encode(Hello(version=99)),
        encode(HELLO) * 2,
        encode(HELLO) + encode(Cancel(id=1)),
        encode(HELLO) + encode(KeepAlive(model="m", seconds=-1.0)),
        (2 * 1024 * 1024).to_bytes(4, "little"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_not_of_the_protocol_ends_the_connection(tmp_path: Path, sent: bytes) -> None:
    async with scene(tmp_path) as (desk, clerk, path):
        caller = await call(path)
        caller.writer.write(sent)
        assert await caller.is_cut()
        assert clerk.heard == []
        desk.tell(())


async def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(tmp_path) as (_, _, path):
        monkeypatch.setattr(loader_desk.os, "geteuid", lambda: os.getuid() + 1)
        caller = await call(path)
        assert await caller.is_cut()


async def test_one_too_many_is_refused_and_one_that_does_not_greet_hears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_desk, "MAX_CONNECTIONS", 2)
    async with scene(tmp_path) as (desk, _, path):
        first, silent = await call(path), await call(path)
        first.send(HELLO)
        await first.hear(2)
        third = await call(path)
        assert await third.is_cut()
        desk.tell((RESIDENCE,))
        assert len(await first.hear(1)) == 1
        silent.send(HELLO)
        assert len(await silent.hear(2)) == 2


async def test_one_that_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_desk, "UNREAD_BYTES", 1000)
    async with scene(tmp_path) as (desk, _, path):
        caller = await call(path)
        caller.send(HELLO)
        await caller.hear(2)
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            desk.tell((RESIDENCE,) * 200)
        await asyncio.sleep(0)
        caller.writer.transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises((EOFError, ConnectionError)):
            await caller.hear(201)


async def test_a_caller_that_resets_is_forgotten(tmp_path: Path) -> None:
    async with scene(tmp_path) as (desk, _, path):
        plain = socket.socket(socket.AF_UNIX)
        await asyncio.to_thread(plain.connect, str(path))
        plain.sendall(encode(HELLO))
        while not any(desk._talks.values()):  # noqa: ASYNC110  # rounds of the loop, no time
            await asyncio.sleep(0)
        plain.close()  # with our answers unread: the other side gets a reset
        while desk._talks:  # noqa: ASYNC110
            await asyncio.sleep(0)
