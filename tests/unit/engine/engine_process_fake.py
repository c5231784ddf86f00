"""A worker or preparer that speaks frames over a real Unix socket and does what the test tells it."""

import asyncio
from pathlib import Path
from typing import Any

from engine.frames import PROTOCOL_VERSION, Frame, FrameReader, Hello, PreparerHello, WorkerHello, encode
from engine.interface import Prepared, StepReport, TargetState
from engine.plan import ProcessPlan

MODEL = "tiny:latest"
# The event loop's turns from an accepted connection to its handler, and from a closed one to its closed socket.
TURNS = 10


def process_plan(path: Path, role: str = "chat", name: str = "worker-0", **changes: Any) -> ProcessPlan:
    values: dict[str, Any] = {
        "name": name,
        "role": role,
        "model": MODEL,
        "model_file": "/none",
        "socket": str(path),
        "slots": 4,
        "context_tokens": 64,
        "batch_tokens": 32,
        "threads": 1,
        "memory_bytes": 1,
        "timeout_s": 20.0,
    }
    return ProcessPlan(**{**values, **changes})


def worker_hello(role: Any = "chat", **changes: Any) -> WorkerHello:
    values: dict[str, Any] = {"version": PROTOCOL_VERSION, "model": MODEL, "role": role}
    rest = {"slots": 4, "slot_context_tokens": 64, "threads": 1, "pid": 1}
    return WorkerHello(**{**values, **rest, **changes})


def preparer_hello(**changes: Any) -> PreparerHello:
    values: dict[str, Any] = {"version": PROTOCOL_VERSION, "model": MODEL, "context_tokens": 64, "pid": 1}
    return PreparerHello(**{**values, "capabilities": ("completion", "tools"), **changes})


class FakeProcess:
    """Greets every connection with `hello` (once it has the gateway's) and collects what it is sent."""

    def __init__(self, path: Path, requests: Any, hello: Frame | bytes) -> None:
        self._path = path
        self._requests = requests
        self.hello = hello
        self.received: asyncio.Queue[Any] = asyncio.Queue()
        self.connections = 0
        self._writer: asyncio.StreamWriter | None = None
        self._talks: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "FakeProcess":
        self._server = await asyncio.start_unix_server(self._serve, str(self._path))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await _turns()  # who was accepted a moment ago is among the talks then
        self.drop()
        for each in self._talks:
            each.close()
        await self._server.wait_closed()
        await _turns()

    def send(self, frame: Frame) -> None:
        assert self._writer is not None
        self._writer.write(encode(frame))

    def drop(self) -> None:
        """Die: every connection is closed."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def next(self) -> Any:
        return await asyncio.wait_for(self.received.get(), 30)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._talks.append(writer)
        frames = FrameReader(self._requests)
        while data := await reader.read(65536):
            for frame in frames.feed(data):
                if isinstance(frame, Hello):
                    self._writer = writer
                    writer.write(self.hello if isinstance(self.hello, bytes) else encode(self.hello))
                else:
                    self.received.put_nowait(frame)
        writer.close()


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


class RecordingObserver:
    """An observer whose reports are awaited one by one."""

    def __init__(self) -> None:
        self.states: asyncio.Queue[TargetState] = asyncio.Queue()
        self.reports: asyncio.Queue[tuple[str, StepReport]] = asyncio.Queue()
        self.deaths: list[tuple[str, tuple[Prepared, ...], bool]] = []

    def target_changed(self, state: TargetState) -> None:
        self.states.put_nowait(state)

    def step_reported(self, target: str, report: StepReport) -> None:
        self.reports.put_nowait((target, report))

    def target_died(self, target: str, batch: tuple[Prepared, ...], *, alone: bool) -> None:
        self.deaths.append((target, batch, alone))

    async def state(self) -> TargetState:
        return await asyncio.wait_for(self.states.get(), 30)

    async def report(self) -> tuple[str, StepReport]:
        return await asyncio.wait_for(self.reports.get(), 30)
