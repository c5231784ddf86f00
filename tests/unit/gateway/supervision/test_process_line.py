import asyncio
from collections.abc import Callable
from pathlib import Path

from engine.frames import AskCounters, Counters, Drain, Leaving, PreparerRequest, WorkerRequest
from gateway.supervision.process_line import ProcessLine
from tests.unit.engine.engine_process_fake import FakeProcess, preparer_hello, process_plan, worker_hello

COUNTED = Counters(
    decode_calls=3, steps=5, output_tokens=9, prefill_tokens=1, cached_tokens=0, started=1, ended=1, cancelled=0,
    busy_slots=2,
)  # fmt: skip


class Listener:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def greeted(self) -> None:
        self.heard.append("greeted")

    def counted(self, counters: Counters) -> None:
        self.heard.append(f"{counters.steps} steps")

    def lost(self) -> None:
        self.heard.append("lost")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # sockets of this very loop
            await asyncio.sleep(0.002)


async def test_two_that_listen_share_one_connection_and_one_question(tmp_path: Path) -> None:
    line, both = ProcessLine(process_plan(tmp_path / "w")), (Listener(), Listener())
    for each in both:
        line.join(each)
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello()) as worker:
        for _ in both:
            line.open()
        await until(lambda: line.is_greeted)
        for _ in both:
            line.ask()
        assert line.send(Drain())
        assert [await worker.next(), await worker.next()] == [AskCounters(), Drain()]
        worker.send(Leaving())  # of no matter here
        worker.send(COUNTED)
        await until(lambda: len(both[1].heard) == 2)
        line.ask()
        assert await worker.next() == AskCounters()
        await line.close()
        assert line.is_greeted, "the other still listens"
        await line.close()
        assert not line.is_greeted
        assert worker.connections == 1
    assert [each.heard for each in both] == [["greeted", "5 steps", "lost"]] * 2


async def test_a_preparer_is_asked_nothing_and_nobody_while_there_is_no_connection(tmp_path: Path) -> None:
    line = ProcessLine(process_plan(tmp_path / "p", "preparer"))
    line.ask()
    assert not line.send(AskCounters())
    async with FakeProcess(tmp_path / "p", PreparerRequest, preparer_hello()) as preparer:
        line.open()
        await until(lambda: line.is_greeted)
        line.ask()
        line.greeted("nothing that greets")
        await line.close()
        assert preparer.received.empty()
