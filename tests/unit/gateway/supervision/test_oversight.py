import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.frames import AskCounters, Counters, PreparerRequest, WorkerRequest
from engine.progress import Totals
from gateway.supervision.oversight import IDLE, LONGEST_LOOK_S, Oversight
from gateway.supervision.process_signs import signs_of
from tests.unit.engine.engine_process_fake import FakeProcess, preparer_hello, process_plan, worker_hello

COUNTED = Counters(
    decode_calls=3, steps=5, output_tokens=9, prefill_tokens=1, cached_tokens=0, started=1, ended=1, cancelled=0,
    busy_slots=2,
)  # fmt: skip


@pytest.fixture
def child() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-S", "-I", "-c", "import signal; signal.pause()"])
    yield process.pid
    process.kill()
    process.wait()


async def until(holds: Callable[[], bool]) -> bool:
    for _ in range(3000):
        if holds():
            return True
        await asyncio.sleep(0.01)
    return False


async def greeted(oversight: Oversight) -> None:
    loaded = asyncio.Event()
    oversight.on_loaded = loaded.set
    oversight.open()
    await asyncio.wait_for(loaded.wait(), 30)


async def test_a_worker_is_asked_one_question_at_a_time_and_its_answer_is_seen_once(tmp_path: Path, child: int) -> None:
    oversight = Oversight(process_plan(tmp_path / "w"))
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello()) as worker:
        await greeted(oversight)
        looks = [oversight.look(child, 1.0, serves=True) for _ in range(3)]
        assert [look.totals for look in looks] == [None] * 3
        assert looks[0].work is not None
        assert await worker.next() == AskCounters()
        assert worker.received.empty()
        worker.send(COUNTED)
        assert await until(lambda: oversight.look(child, 1.0, serves=True).totals == Totals(5, is_busy=True))
        assert await worker.next() == AskCounters()
        assert oversight.look(child, 1.0, serves=True).totals is None
        await oversight.close()


async def test_the_next_process_is_asked_anew(tmp_path: Path, child: int) -> None:
    oversight = Oversight(process_plan(tmp_path / "w"))
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello()) as worker:
        await greeted(oversight)
        oversight.look(child, 1.0, serves=True)
        assert await worker.next() == AskCounters()
        loaded = asyncio.Event()
        oversight.on_loaded = loaded.set
        worker.drop()
        await asyncio.wait_for(loaded.wait(), 30)
        oversight.look(child, 1.0, serves=True)
        assert await worker.next() == AskCounters()
        await oversight.close()


async def test_a_preparer_is_asked_nothing_and_gets_on_unless_it_was_stopped(tmp_path: Path, child: int) -> None:
    oversight = Oversight(process_plan(tmp_path / "p", "preparer"))
    async with FakeProcess(tmp_path / "p", PreparerRequest, preparer_hello()) as preparer:
        await greeted(oversight)
        assert oversight.look(child, 1.0, serves=True).totals == Totals(0, is_busy=False)
        os.kill(child, signal.SIGSTOP)
        assert await until(lambda: (signs := signs_of(child)) is not None and signs.is_stopped)
        assert oversight.look(child, 1.0, serves=True).totals is None
        assert preparer.received.empty()
        await oversight.close()


async def test_without_a_process_to_talk_to_only_the_kernel_is_asked() -> None:
    oversight = Oversight(stuck_after_s=8.0)
    oversight.open()
    look = oversight.look(2**22 + 1, 1.0, serves=True)
    assert (look.work, look.totals) == (None, Totals(0, is_busy=False))
    await oversight.close()
    assert (oversight.look_s, Oversight(stuck_after_s=3600).look_s) == (2.0, LONGEST_LOOK_S)


async def test_a_worker_that_is_not_there_is_not_asked(tmp_path: Path, child: int) -> None:
    oversight = Oversight(process_plan(tmp_path / "w"))
    unjudged = oversight.look(child, 1.0, serves=False)
    assert (unjudged.totals, unjudged.work) == (IDLE, None)
    os.kill(child, signal.SIGSTOP)
    assert await until(lambda: oversight.look(child, 1.0, serves=False).work is not None)
    assert oversight.look(child, 1.0, serves=False).totals is None
    oversight.lost()
    await oversight.close()
