import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from engine import pool as pool_module
from engine.errors import ModelNotReady, WorkerDied
from engine.frames import PROTOCOL_VERSION, AskCounters, Counters, Description, PreparerRequest, Ready, WorkerRequest
from engine.interface import Engine
from engine.links.call_frames import pack_ids
from engine.links.worker_link import WorkerCount
from engine.loader_frames import KeepAlive, LoaderHello, LoaderRequest, Residences, Wanted
from engine.plan import Plan
from engine.pool import Pool
from engine.residency import Residence
from policies.call import Call, Message, ModelCard
from tests.unit.engine.engine_process_fake import (
    MODEL,
    FakeProcess,
    RecordingObserver,
    preparer_hello,
    process_plan,
    worker_hello,
)

CARD = ModelCard(name=MODEL, digest="0" * 64, size_bytes=1, modified_at=0.0)
CALL = Call(kind="chat", model=MODEL, messages=(Message("user", "hi"),))
COUNTERS = Counters(
    decode_calls=3, steps=3, output_tokens=9, prefill_tokens=1, cached_tokens=0, started=1, ended=1, cancelled=0,
    busy_slots=0,
)  # fmt: skip


class Scene:
    """A pool over one preparer and one worker, both greeted."""

    def __init__(self, pool: Pool, preparer: FakeProcess, worker: FakeProcess) -> None:
        self.pool = pool
        self.preparer = preparer
        self.worker = worker


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    plan = Plan(
        processes=(
            process_plan(tmp_path / "p", "preparer", "preparer-0"),
            process_plan(tmp_path / "w", "chat", "worker-0"),
        ),
        cards=(CARD,),
    )
    observer, pool = RecordingObserver(), Pool(plan, draw_seed=lambda: 1234)
    async with (
        FakeProcess(tmp_path / "p", PreparerRequest, preparer_hello()) as preparer,
        FakeProcess(tmp_path / "w", WorkerRequest, worker_hello()) as worker,
    ):
        await pool.start_up(observer)
        try:
            await observer.state()
            while pool.models() == (CARD,):  # noqa: ASYNC110  # rounds of the loop, no time
                await asyncio.sleep(0)
            yield Scene(pool, preparer, worker)
        finally:
            await pool.close()


async def test_a_call_is_prepared_and_run_with_a_drawn_seed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        engine: Engine = at.pool
        preparing = asyncio.create_task(engine.prepare(CALL))
        frame = await at.preparer.next()
        at.preparer.send(Ready(id=frame.id, token_ids=(pack_ids((1,)),), prompt_tokens=1, max_output_tokens=3))
        async with engine.run("pool:worker-0", await preparing):
            assert (await at.worker.next()).sampling.seed == 1234


async def test_cards_show_what_the_file_itself_can_do(tmp_path: Path) -> None:
    assert Pool(Plan(cards=(CARD,))).models() == (CARD,)
    async with scene(tmp_path) as at:
        assert at.pool.models()[0].capabilities == ("completion", "tools")


async def test_a_description_comes_from_the_preparer(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        asked = asyncio.create_task(at.pool.describe(MODEL))
        at.preparer.send(Description(id=(await at.preparer.next()).id, info={"a": 1}, template=""))
        assert (await asked).info == {"a": 1}


async def test_what_is_not_in_the_plan_is_our_error(tmp_path: Path) -> None:
    pool = Pool(Plan())
    with pytest.raises(ModelNotReady, match="model_not_in_plan"):
        await pool.prepare(CALL)
    async with scene(tmp_path) as at:
        preparing = asyncio.create_task(at.pool.prepare(CALL))
        frame = await at.preparer.next()
        at.preparer.send(Ready(id=frame.id, token_ids=(pack_ids((1,)),), prompt_tokens=1))
        with pytest.raises(WorkerDied, match="target_unknown"):
            async with pool.run("pool:worker-9", await preparing):
                raise AssertionError


async def test_counters_leave_out_who_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "COUNTERS_TIMEOUT_S", 30.0)
    async with scene(tmp_path) as at:
        asked = asyncio.create_task(at.pool.counters())
        assert await at.worker.next() == AskCounters()
        at.worker.send(COUNTERS)
        assert await asked == {"pool:worker-0": COUNTERS}
        monkeypatch.setattr(pool_module, "COUNTERS_TIMEOUT_S", 0.01)
        assert await at.pool.counters() == {}


async def test_counts_are_heard_by_who_subscribed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.pool.ask_counts()
        assert await at.worker.next() == AskCounters()
        at.worker.send(COUNTERS)  # heard by nobody
        counts: asyncio.Queue[WorkerCount] = asyncio.Queue()
        at.pool.subscribe_counts(counts.put_nowait)
        at.pool.ask_counts()
        assert await at.worker.next() == AskCounters()
        at.worker.send(COUNTERS)
        told = await counts.get()
        assert (told.target, told.counters) == ("pool:worker-0", COUNTERS)


def test_drawn_seeds_avoid_llama_cpps_word_for_none() -> None:
    assert all(0 <= pool_module._draw_seed() < 2**31 for _ in range(100))


async def test_an_adapter_is_prepared_and_described_by_its_bases_preparer(tmp_path: Path) -> None:
    adapter = ModelCard(
        name="sql:1", digest="1" * 64, size_bytes=1, modified_at=0.0, parent=MODEL, system="Answer in SQL."
    )
    plan = Plan(processes=(process_plan(tmp_path / "p", "preparer", "preparer-0"),), cards=(CARD, adapter))
    pool = Pool(plan)
    hello = preparer_hello(capabilities=("completion", "tools", "embedding"))
    async with FakeProcess(tmp_path / "p", PreparerRequest, hello) as preparer:
        await pool.start_up(RecordingObserver())
        asking = asyncio.create_task(pool.prepare(msgspec.structs.replace(CALL, adapter="sql:1")))
        question = await preparer.next()
        assert question.messages[0] == Message("system", "Answer in SQL.")
        preparer.send(Ready(id=question.id, token_ids=(pack_ids((1,)),), prompt_tokens=1, max_output_tokens=4))
        assert (await asking).call.adapter == "sql:1"
        describing = asyncio.create_task(pool.describe("sql:1"))
        question = await preparer.next()
        preparer.send(Description(id=question.id, info={"a": 1}, template=""))
        assert (await describing).info == {"a": 1}
        assert [card.capabilities for card in pool.models()] == [
            ("completion", "tools", "embedding"),
            ("completion", "tools"),
        ]
        await pool.close()


async def test_what_is_waited_for_is_said_to_the_loader_and_its_word_reaches_the_workers(tmp_path: Path) -> None:
    plan = Plan(processes=(process_plan(tmp_path / "w", "chat", "worker-0"),), cards=(CARD,))
    observer, pool = RecordingObserver(), Pool(plan, loader_socket=str(tmp_path / "loader"))
    hello = LoaderHello(version=PROTOCOL_VERSION)
    async with FakeProcess(tmp_path / "loader", LoaderRequest, hello) as loader:
        pool.want([(MODEL, "completion"), (MODEL, "embedding"), ("of an upstream", "chat")])
        await pool.start_up(observer)
        try:
            assert await loader.next() == Wanted(groups=((MODEL, "chat"), (MODEL, "embedding")))
            pool.keep(MODEL, 5.0)
            assert await loader.next() == KeepAlive(model=MODEL, seconds=5.0)
            told = Residence(name="worker-0", model=MODEL, role="chat", needs_bytes=1, state="unloaded", since_s=0.0)
            loader.send(Residences(workers=(told,)))
            assert [(await observer.state()).standby for _ in range(2)] == ["", "absent"]
            assert pool.residences() == (told,)
        finally:
            await pool.close()


async def test_without_a_loader_nothing_is_said(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.pool.want([(MODEL, "chat")])
        at.pool.keep(MODEL, 5.0)
        assert at.pool.residences() == ()
