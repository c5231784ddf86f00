"""Cancels through the socket of a real worker process, from several connections, some of which close.

The worker's own counters say what became of every request, /proc what the process holds. Afterwards lone long
prompts are cancelled at random moments. From the cancel's bytes, which lie in the worker's socket when `send` returns,
until the step that says the slot is free: the time by the wall's clock, what of it the worker computed, and how long
worker and measuring process wanted a processor and another process had it.
"""

import itertools
import os
import random
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from bench.cancelling.process_state import descriptors, processor_ms, resident_bytes, summary, waited_ms
from bench.cancelling.random_requests import FIRST_ID, RandomRequests
from engine.frames import (
    PROTOCOL_VERSION,
    AskCounters,
    Cancel,
    Counters,
    FrameReader,
    Hello,
    SlotTaken,
    Start,
    Step,
    WorkerAnswer,
    encode,
)
from engine.plan import ProcessPlan
from gateway.supervision.child_commands import engine_command
from gateway.supervision.listening import listen_unix
from policies.call import Sampling

SLOTS, CONTEXT_TOKENS, CELLS, BATCH_TOKENS = 8, 512, 600, 512
LINES, WAIT_S = 3, 120.0
CANCEL_SHARE, CLOSE_SHARE, SPARED_SHARE = 0.3, 0.02, 0.1
SETTLED_SHARE = 0.2


class Line:
    """One gateway's connection. `live` are its requests, `faults` and `ended` what became of them."""

    def __init__(self, path: Path) -> None:
        self._stream = socket.socket(socket.AF_UNIX)
        self._stream.settimeout(WAIT_S)
        self._stream.connect(str(path))
        self._reader = FrameReader(WorkerAnswer)
        self.live: set[int] = set()
        self.ended = 0
        self.faults: list[str] = []
        self.counters: Counters | None = None
        self.busy_slots: int | None = None
        self.send(Hello(version=PROTOCOL_VERSION))

    def send(self, *frames: Any) -> None:
        self._stream.sendall(b"".join(map(encode, frames)))

    def start(self, start: Start) -> None:
        self.live.add(start.id)
        self.send(start)

    def cancel(self, id_: int) -> None:
        self.live.discard(id_)
        self.send(Cancel(id=id_))

    def take(self, wait_s: float) -> None:
        """Take in what comes within `wait_s`, at least what is there."""
        if select.select([self._stream], [], [], wait_s)[0]:
            data = self._stream.recv(1 << 18)
            assert data, "the worker closed the connection"
            for frame in self._reader.feed(data):
                self._keep(frame)

    def ask(self) -> Counters:
        """The worker's counters now."""
        self.counters = None
        self.send(AskCounters())
        deadline_s = time.monotonic() + WAIT_S
        while (found := self.counters) is None:
            assert time.monotonic() < deadline_s, "the worker does not answer"
            self.take(1.0)
        return found

    def close(self) -> None:
        self._stream.close()

    def _keep(self, frame: Any) -> None:
        if isinstance(frame, SlotTaken):
            self.live.discard(frame.id)
        elif isinstance(frame, Counters):
            self.counters = frame
        elif isinstance(frame, Step):
            self.busy_slots = frame.busy_slots
            for ended in frame.ended:
                self.ended += ended.id in self.live
                self.faults += [ended.fault] if ended.fault else []
                self.live.discard(ended.id)


@contextmanager
def worker(model_file: Path) -> Iterator[tuple[Path, int]]:
    """A walled worker on this model; its socket and its pid."""
    with tempfile.TemporaryDirectory() as folder:
        plan = ProcessPlan(
            name="cancels", role="chat", model="cancelled", model_file=str(model_file.resolve()),
            socket=str(Path(folder) / "w.sock"), slots=SLOTS, context_tokens=CONTEXT_TOKENS, batch_tokens=BATCH_TOKENS,
            threads=1, memory_bytes=4 << 30, timeout_s=2.0,
        )  # fmt: skip
        with listen_unix(Path(plan.socket)) as listening:
            command = engine_command(structs.replace(plan, flash_attention=True, kv_cells=CELLS), listening.fileno())
            process = subprocess.Popen(command.argv, env=dict(command.environment), pass_fds=command.passed_fds)
        try:
            yield Path(plan.socket), process.pid
        finally:
            process.terminate()
            assert process.wait(60) == 0, "the worker did not end well"


def cancel_through_socket(model_file: Path, *, cancels: int, abandons: int, ids: int, seed: int) -> dict[str, Any]:
    """The figures. Raises AssertionError for a request that was lost or failed."""
    with worker(model_file) as (path, pid):
        run = SocketRun(path, pid, seed, ids)
        try:
            figures = run.cancel(cancels)
            return figures | run.abandon(abandons)
        finally:
            run.close()


class SocketRun:
    """The connections to one worker, and its random load."""

    def __init__(self, path: Path, pid: int, seed: int, ids: int) -> None:
        self._path, self._pid = path, pid
        self._draw = random.Random(seed)
        self._requests = RandomRequests(seed, ids)
        self._numbers = itertools.count()
        self._spared: set[int] = set()
        self._lines = [Line(path) for _ in range(LINES)]
        self._completed, self._closed = 0, 0

    def cancel(self, cancels: int) -> dict[str, Any]:
        settled: tuple[int, int] | None = None
        while (done := self._lines[0].ask().cancelled) < cancels:
            if settled is None and done >= SETTLED_SHARE * cancels:
                settled = self._held()
            for _ in range(10):
                self._turn()
        counters = self._drain()
        before, after = settled or self._held(), self._held()
        assert counters.started == counters.ended + counters.cancelled, counters
        return {
            "cancels": counters.cancelled, "completed": self._completed, "connections_closed": self._closed,
            "parked": counters.parked, "steps": counters.steps, "slots_lost": counters.busy_slots,
            "descriptors_lost": after[0] - before[0], "resident_growth_bytes": after[1] - before[1],
        }  # fmt: skip

    def abandon(self, times: int) -> dict[str, Any]:
        """Cancel lone long prompts inside their computation, and take the times that the head names."""
        line = self._lines[0]
        parts: dict[str, list[float]] = {name: [] for name in self._clocks()}
        for _ in range(times):
            ids = np.asarray([self._draw.randrange(FIRST_ID, 200) for _ in range(480)], "<i4").tobytes()
            number = next(self._numbers)
            line.send(
                Start(id=number, token_ids=(ids,), sampling=Sampling(temperature=0.0, seed=1), max_output_tokens=400,
                      cache_scope=f"alone {number}")
            )  # fmt: skip
            time.sleep(0.02 + 0.08 * self._draw.random())
            line.take(0.0)
            line.busy_slots = None
            before, deadline_s = self._clocks(), time.monotonic() + WAIT_S
            line.send(Cancel(id=number))
            while line.busy_slots != 0:
                line.take(1.0)
                assert time.monotonic() < deadline_s, "a cancel freed no slot"
            for name, now in self._clocks().items():
                parts[name].append(now - before[name])
        return {"abandoned": times, **{name: summary(values) for name, values in parts.items()}}

    def _clocks(self) -> dict[str, float]:
        return {
            "cancel_to_free_ms": time.perf_counter() * 1e3,
            "worker_computed_ms": processor_ms(self._pid),
            "worker_waited_for_processor_ms": waited_ms(self._pid),
            "measuring_waited_for_processor_ms": waited_ms(os.getpid()),
        }

    def close(self) -> None:
        for line in self._lines:
            line.close()

    def _turn(self) -> None:
        for index, line in enumerate(self._lines):
            while len(line.live) < SLOTS // LINES + 1 and self._draw.random() < 0.8:
                number = next(self._numbers)
                if self._draw.random() < SPARED_SHARE:
                    self._spared.add(number)
                line.start(self._requests.start(number))
            line.take(self._draw.random() * 0.01)
            for id_ in sorted(line.live - self._spared):
                if self._draw.random() < CANCEL_SHARE:
                    line.cancel(id_)
            if self._draw.random() < CLOSE_SHARE:
                self._replace(index)

    def _replace(self, index: int) -> None:
        """The connection closes with all its requests, and another one comes."""
        self._account_for(self._lines[index])
        self._lines[index].close()
        self._lines[index] = Line(self._path)
        self._closed += 1

    def _drain(self) -> Counters:
        deadline_s = time.monotonic() + WAIT_S
        while any(line.live for line in self._lines):
            for line in self._lines:
                line.take(0.01)
            assert time.monotonic() < deadline_s, "a request neither ended nor was told anything"
        while (counters := self._lines[0].ask()).busy_slots:
            assert time.monotonic() < deadline_s, "a slot stays busy"
        for line in self._lines:
            self._account_for(line)
        return counters

    def _account_for(self, line: Line) -> None:
        assert not line.faults, line.faults
        self._completed += line.ended

    def _held(self) -> tuple[int, int]:
        """Once the worker has come to know of every connection that was opened or closed: asked for the second time."""
        for line in (*self._lines, *self._lines):
            line.ask()
        return descriptors(self._pid), resident_bytes(self._pid)
