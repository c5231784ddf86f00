"""The loader over real sockets: workers that only speak frames, a gateway's own link, keepers in three lines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from engine.frames import AskCounters, Counters, Drain, WorkerRequest
from engine.links.loader_link import LoaderLink
from engine.plan import Plan
from engine.residency import FAREWELL_S, LONGEST_DRAIN_S, Residence
from gateway.supervision import loader as loader_module
from gateway.supervision.listening import listen_unix
from gateway.supervision.loader import Loader
from tests.unit.engine.engine_process_fake import FakeProcess, preparer_hello, process_plan, worker_hello

COUNTERS = Counters(
    decode_calls=0, steps=0, output_tokens=0, prefill_tokens=0, cached_tokens=0, started=1, ended=1, cancelled=0,
    busy_slots=0,
)  # fmt: skip
SIZE = 6


class Scene:
    """A loader for workers `a` and `b`, of which one fits, and a gateway that hears of them."""

    def __init__(self, folder: Path, loader: Loader, link: LoaderLink) -> None:
        self.folder = folder
        self.loader = loader
        self.link = link
        self.now_s = 100.0
        self.heard: dict[str, Residence] = {}

    def news(self, residences: tuple[Residence, ...]) -> None:
        self.heard = {each.name: each for each in residences}

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():  # noqa: ASYNC110  # sockets of this very loop
                await asyncio.sleep(0.002)

    async def sees(self, **states: str) -> None:
        await self.until(lambda: {name: each.state for name, each in self.heard.items()} == states)

    def process(self, name: str) -> FakeProcess:
        return FakeProcess(self.folder / name, WorkerRequest, worker_hello(model=name))


@asynccontextmanager
async def scene(folder: Path, monkeypatch: Any, budget: int = 10, **rules: Any) -> AsyncIterator[Scene]:
    monkeypatch.setattr(loader_module, "TICK_S", 0.005)
    plans = tuple(process_plan(folder / name, name=name, model=name, needs_bytes=SIZE) for name in "ab")
    preparer = process_plan(folder / "p", "preparer", "preparer-0")
    plan = Plan(processes=(preparer, *plans), memory_budget_bytes=budget)
    with listen_unix(folder / "loader.sock") as listening:
        times = {"keep_alive_s": None, "patience_s": 10.0, **rules}
        loader = Loader(plan, listening, now_s=lambda: found.now_s, **times)
        found = Scene(folder, loader, LoaderLink(str(folder / "loader.sock"), lambda news: found.news(news)))  # noqa: PLW0108 (made below)
        running = asyncio.create_task(loader.run())
        found.link.open()
        try:
            yield found
        finally:
            await found.link.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_two_models_of_which_one_fits_take_turns(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, monkeypatch) as at:
        await at.loader.upkeep("a").may_start()
        async with at.process("a") as worker:
            await at.sees(a="loaded", b="unloaded")
            at.now_s += 2
            assert await worker.next() == AskCounters()
            worker.send(COUNTERS)
            at.now_s = 110.0
            at.link.want(frozenset({("b", "chat"), ("unknown", "chat")}))
            await at.sees(a="draining", b="unloaded")
            while await worker.next() != Drain():
                pass
            assert not at.loader.upkeep("a").gate.is_set()
        assert at.loader.upkeep("a").was_to_leave()
        await asyncio.wait_for(at.loader.upkeep("b").may_start(), 30)
        async with at.process("b"):
            await at.sees(a="unloaded", b="loaded")


async def test_a_drain_is_said_again_while_the_worker_is_there(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, monkeypatch) as at, at.process("a") as worker:
        await at.sees(a="loaded", b="unloaded")
        at.now_s += 50
        at.link.keep("a", 0.0)
        at.link.want(frozenset())
        for _ in range(2):
            while await worker.next() != Drain():
                pass
            at.now_s += 2
        await at.sees(a="draining", b="unloaded")


async def test_a_worker_that_does_not_leave_is_to_be_ended(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, monkeypatch) as at, at.process("a"):
        await at.sees(a="loaded", b="unloaded")
        upkeep = at.loader.upkeep("a")
        at.now_s += 50
        assert not upkeep.is_overdue()
        at.link.keep("a", 0.0)
        await at.sees(a="draining", b="unloaded")
        assert not upkeep.is_overdue()
        at.now_s += LONGEST_DRAIN_S + 1
        assert upkeep.is_overdue()
        assert upkeep.was_to_leave()
        await at.sees(a="unloaded", b="unloaded")
        assert not upkeep.is_overdue()


async def test_a_hint_keeps_an_idle_model(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, monkeypatch, keep_alive_s=30.0) as at, at.process("a"):
        await at.sees(a="loaded", b="unloaded")
        assert at.heard["a"].expires_s == 130.0
        at.link.keep("a", 100.0)
        await at.until(lambda: at.heard["a"].expires_s == 200.0)


async def test_a_worker_that_dies_is_restarted_and_one_given_up_on_makes_room(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, monkeypatch) as at:
        async with at.process("a"):
            await at.sees(a="loaded", b="unloaded")
        upkeep = at.loader.upkeep("a")
        assert not upkeep.was_to_leave()
        upkeep.ended("killed", 0.5, quarantined=False)
        await at.sees(a="restarting", b="unloaded")
        assert upkeep.gate.is_set()
        upkeep.ended("killed", 300.0, quarantined=True)
        await at.sees(a="held", b="unloaded")
        assert at.heard["a"].reason == "killed"
        assert not upkeep.gate.is_set()
        at.link.want(frozenset({("b", "chat")}))
        await asyncio.wait_for(at.loader.upkeep("b").may_start(), 30)


async def test_a_process_that_is_no_worker_is_never_taken_for_one(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, monkeypatch) as at:
        async with FakeProcess(tmp_path / "a", WorkerRequest, preparer_hello()) as wrong:
            await at.until(lambda: wrong.connections >= 2)
        await at.sees(a="starting", b="unloaded")


async def test_loaded_workers_count_as_told_only_when_something_changed(tmp_path: Path, monkeypatch: Any) -> None:
    async with scene(tmp_path, monkeypatch, budget=0) as at, at.process("a"), at.process("b"):
        await at.sees(a="loaded", b="loaded")
        told: list[object] = []
        monkeypatch.setattr(at.loader._desk, "tell", told.append)
        at.loader.counted("a", 0, 0)
        for _ in range(3):
            at.loader._pass_time()
        assert told == []
        assert msgspec.structs.asdict(at.heard["a"])["load_s"] == 0.0


async def test_a_worker_that_says_that_it_leaves_and_stays_is_to_be_ended_as_one_that_died(
    tmp_path: Path, monkeypatch: Any
) -> None:
    async with scene(tmp_path, monkeypatch) as at, at.process("a"):
        await at.sees(a="loaded", b="unloaded")
        upkeep, residency = at.loader.upkeep("a"), at.loader._residency
        at.link.answers_take(100.0)
        await at.until(lambda: residency.longest_leaving_s() == 100.0 + FAREWELL_S)
        at.link.away(frozenset({"a"}))
        await at.until(lambda: "a" in residency._away)
        for _ in range(int(100 + FAREWELL_S)):
            at.now_s += 1
            at.loader.wanted(1, (), ("a",), 100.0)
            assert not upkeep.is_overdue()
        at.now_s += 1
        at.loader.wanted(1, (), ("a",), 100.0)
        assert upkeep.is_overdue()
        assert not upkeep.was_to_leave(), "nobody had told it to: its end is a death"
        await at.sees(a="restarting", b="unloaded")
        assert not upkeep.is_overdue()
