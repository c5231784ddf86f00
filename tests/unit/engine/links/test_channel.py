import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.frames import (
    PROTOCOL_VERSION,
    AskCounters,
    Counters,
    FrameError,
    Hello,
    Step,
    WorkerAnswer,
    WorkerRequest,
    encode,
)
from engine.links import channel as channel_module
from engine.links.channel import Channel, ChannelClosed
from tests.unit.engine.engine_process_fake import FakeProcess, worker_hello

COUNTERS = Counters(
    decode_calls=1, steps=1, output_tokens=1, prefill_tokens=1, cached_tokens=0, started=1, ended=1, cancelled=0,
    busy_slots=0,
)  # fmt: skip
STEP = Step(
    outputs=(), ended=(), step_ns=1, decode_rows=0, prefill_rows=0, cached_tokens=0, output_tokens=0, busy_slots=0,
    slots=1,
)  # fmt: skip


class Recorder:
    """A listener that keeps what it hears in order."""

    def __init__(self, on_greeting: Callable[[], None] = lambda: None) -> None:
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._on_greeting = on_greeting

    def greeted(self, hello: Any) -> None:
        self._on_greeting()
        self.heard.put_nowait(("greeted", hello))

    def received(self, frame: Any) -> None:
        self.heard.put_nowait(("received", frame))

    def lost(self, reason: str) -> None:
        self.heard.put_nowait(("lost", reason))

    async def next(self) -> tuple[str, Any]:
        return await asyncio.wait_for(self.heard.get(), 30)


@asynccontextmanager
async def opened(path: Path, listener: Recorder) -> AsyncIterator[Channel]:
    channel = Channel(str(path), WorkerAnswer, listener, jitter=lambda: 0.0)
    channel.open()
    try:
        yield channel
    finally:
        await channel.close()


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(channel_module, "LONGEST_RETRY_S", 0.001)


async def test_frames_travel_both_ways_after_the_greeting(tmp_path: Path) -> None:
    recorder = Recorder()
    async with (
        FakeProcess(tmp_path / "s", WorkerRequest, worker_hello()) as process,
        opened(tmp_path / "s", recorder) as channel,
    ):
        assert await recorder.next() == ("greeted", worker_hello())
        assert channel.connected
        channel.send(AskCounters())
        assert await process.next() == AskCounters()
        process.send(COUNTERS)
        process.send(STEP)
        assert await recorder.next() == ("received", COUNTERS)
        assert await recorder.next() == ("received", STEP)


async def test_without_steps_large_frames_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "MOST_BYTES_WITHOUT_STEPS", 1024)
    recorder = Recorder()
    hello = worker_hello(adapters=("a" * 1024,))
    async with FakeProcess(tmp_path / "s", WorkerRequest, hello) as process:
        quiet = Hello(version=PROTOCOL_VERSION, steps=False)
        channel = Channel(str(tmp_path / "s"), WorkerAnswer, recorder, jitter=lambda: 0.0, hello=quiet)
        channel.open()
        for _ in range(3000):
            if process.connections >= 2:
                break
            await asyncio.sleep(0.01)
        await channel.close()
        assert process.connections >= 2
    assert recorder.heard.empty()


async def test_it_connects_as_soon_as_there_is_a_socket(tmp_path: Path) -> None:
    recorder = Recorder()
    async with opened(tmp_path / "s", recorder) as channel:
        with pytest.raises(ChannelClosed, match="not_connected"):
            channel.send(AskCounters())
        async with FakeProcess(tmp_path / "s", WorkerRequest, worker_hello()):
            assert (await recorder.next())[0] == "greeted"
        assert await recorder.next() == ("lost", "connection_lost")
        assert not channel.connected


async def test_a_lost_connection_is_made_again(tmp_path: Path) -> None:
    recorder = Recorder()
    async with FakeProcess(tmp_path / "s", WorkerRequest, worker_hello()) as process, opened(tmp_path / "s", recorder):
        for _ in range(3):
            assert (await recorder.next())[0] == "greeted"
            process.drop()
            assert await recorder.next() == ("lost", "connection_lost")


async def test_closing_reports_the_loss_once(tmp_path: Path) -> None:
    recorder = Recorder()
    async with FakeProcess(tmp_path / "s", WorkerRequest, worker_hello()):
        async with opened(tmp_path / "s", recorder):
            assert (await recorder.next())[0] == "greeted"
        assert await recorder.next() == ("lost", "connection_lost")
        assert recorder.heard.empty()


@pytest.mark.parametrize(
    "first",
    [worker_hello(version=99), COUNTERS, b"\x01\x00\x00\x00\xc1", b"\xff\xff\xff\xff"],
    ids=["other version", "no hello", "no msgpack", "oversized"],
)
async def test_who_does_not_greet_properly_is_never_used(tmp_path: Path, first: Any) -> None:
    recorder = Recorder()
    async with (
        FakeProcess(tmp_path / "s", WorkerRequest, first) as process,
        opened(tmp_path / "s", recorder) as channel,
    ):
        while process.connections < 3:
            await asyncio.wait_for(asyncio.sleep(0), 5)
            assert not channel.connected
        process.hello = worker_hello()
        assert (await recorder.next())[0] == "greeted"


async def test_a_foreign_frame_ends_the_connection(tmp_path: Path) -> None:
    recorder = Recorder()
    async with FakeProcess(tmp_path / "s", WorkerRequest, worker_hello()) as process, opened(tmp_path / "s", recorder):
        assert (await recorder.next())[0] == "greeted"
        process.send(AskCounters())
        assert await recorder.next() == ("lost", "protocol_fault")
        assert (await recorder.next())[0] == "greeted"


@pytest.mark.parametrize("fault", [FrameError("not the one"), RuntimeError("a bug")])
async def test_a_refused_greeting_is_tried_again_and_never_counts(tmp_path: Path, fault: Exception) -> None:
    faults = [fault]

    def refuse_once() -> None:
        if faults:
            raise faults.pop()

    recorder = Recorder(refuse_once)
    async with FakeProcess(tmp_path / "s", WorkerRequest, worker_hello()), opened(tmp_path / "s", recorder):
        assert (await recorder.next())[0] == "greeted"


async def test_a_process_that_does_not_read_is_not_sent_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "UNSENT_BYTES", -1)
    recorder = Recorder()
    async with FakeProcess(tmp_path / "s", WorkerRequest, worker_hello()), opened(tmp_path / "s", recorder) as channel:
        assert (await recorder.next())[0] == "greeted"
        with pytest.raises(ChannelClosed, match="not_reading"):
            channel.send(AskCounters())


async def test_frames_behind_the_hello_in_one_packet_are_not_lost(tmp_path: Path) -> None:
    recorder = Recorder()
    both = encode(worker_hello()) + encode(COUNTERS)
    async with FakeProcess(tmp_path / "s", WorkerRequest, both), opened(tmp_path / "s", recorder):
        assert [(await recorder.next())[0] for _ in range(2)] == ["greeted", "received"]
