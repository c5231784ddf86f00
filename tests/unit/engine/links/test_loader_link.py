import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.frames import PROTOCOL_VERSION
from engine.links import loader_link
from engine.links.loader_link import LoaderLink
from engine.loader_frames import KeepAlive, LoaderHello, LoaderRequest, Residences, Wanted
from engine.residency import Residence
from tests.unit.engine.engine_process_fake import FakeProcess, worker_hello

RESIDENCE = Residence(name="worker-0", model="m", role="chat", needs_bytes=1, state="loaded", since_s=1.0)
HELLO = LoaderHello(version=PROTOCOL_VERSION)
A, B = ("a", "chat"), ("b", "chat")


@pytest.fixture(autouse=True)
def _said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a test takes: those about saying again set it themselves."""
    monkeypatch.setattr(loader_link, "SAY_EVERY_S", 600.0)


class Scene:
    def __init__(self, loader: FakeProcess, link: LoaderLink, news: "asyncio.Queue[tuple[Residence, ...]]") -> None:
        self.loader = loader
        self.link = link
        self._news = news

    async def news(self) -> tuple[Residence, ...]:
        return await asyncio.wait_for(self._news.get(), 30)


@asynccontextmanager
async def scene(tmp_path: Path, *wanted: tuple[str, str], hello: Any = HELLO) -> AsyncIterator[Scene]:
    news: asyncio.Queue[tuple[Residence, ...]] = asyncio.Queue()
    link = LoaderLink(str(tmp_path / "l"), news.put_nowait)
    link.want(frozenset(wanted))
    async with FakeProcess(tmp_path / "l", LoaderRequest, hello) as loader:
        link.open()
        try:
            yield Scene(loader, link, news)
        finally:
            await link.close()


async def test_what_is_wanted_already_is_said_first(tmp_path: Path) -> None:
    async with scene(tmp_path, A) as at:
        assert await at.loader.next() == Wanted(groups=(A,))


async def test_what_is_new_is_said_at_once_and_all_of_it_again(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, A) as at:
        await at.loader.next()
        at.link.want(frozenset({A, B}))
        assert await at.loader.next() == Wanted(groups=(A, B))
        at.link.want(frozenset({A, B}))
        at.link.keep("a", 5.0)
        assert await at.loader.next() == KeepAlive(model="a", seconds=5.0)  # nothing was new
        at.link.want(frozenset())
        assert await at.loader.next() == Wanted(groups=())
    monkeypatch.setattr(loader_link, "SAY_EVERY_S", 0.001)
    async with scene(tmp_path, A) as at:
        for _ in range(3):
            assert await at.loader.next() == Wanted(groups=(A,))
        at.link.want(frozenset())


async def test_it_hears_how_it_is_and_that_nothing_is_known_any_more(tmp_path: Path) -> None:
    async with scene(tmp_path, A) as at:
        await at.loader.next()
        at.loader.send(Residences(workers=(RESIDENCE,)))
        assert await at.news() == (RESIDENCE,)
        at.loader.drop()
        assert await at.news() == ()
        assert await at.loader.next() == Wanted(groups=(A,))  # it is back, and has to know


async def test_a_second_hello_or_another_process_ends_the_connection(tmp_path: Path) -> None:
    async with scene(tmp_path, A) as at:
        await at.loader.next()
        at.loader.send(HELLO)
        assert await at.news() == ()
    async with scene(tmp_path, A, hello=worker_hello()) as at:
        while at.loader.connections < 2:  # noqa: ASYNC110  # rounds of the loop
            await asyncio.sleep(0.001)
        assert at.loader.received.empty()


async def test_without_a_connection_nothing_is_said(tmp_path: Path) -> None:
    link = LoaderLink(str(tmp_path / "none"), lambda _news: None)
    link.want(frozenset({A}))
    link.keep("a", 1.0)
    await link.close()


async def test_workers_that_leave_and_how_long_answers_take_are_said_too(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, A) as at:
        await at.loader.next()
        for _ in range(2):
            at.link.answers_take(600.0)
        assert await at.loader.next() == Wanted(groups=(A,), longest_answer_s=600.0)
        for _ in range(2):
            at.link.away(frozenset({"worker-1", "worker-0"}))
        said = Wanted(groups=(A,), away=("worker-0", "worker-1"), longest_answer_s=600.0)
        assert await at.loader.next() == said
        at.loader.drop()
        assert await at.loader.next() == said
        at.link.away(frozenset())
        at.link.want(frozenset())
        assert await at.loader.next() == Wanted(groups=(A,), longest_answer_s=600.0)
        assert await at.loader.next() == Wanted(groups=(), longest_answer_s=600.0)
    monkeypatch.setattr(loader_link, "SAY_EVERY_S", 0.001)
    async with scene(tmp_path) as at:
        at.link.away(frozenset({"w"}))
        for _ in range(3):
            assert await at.loader.next() == Wanted(groups=(), away=("w",))
        at.link.away(frozenset())
