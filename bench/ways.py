"""Three ways to the same model: the loop in this process, the worker's socket, the gateway over TLS."""

import asyncio
import json
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from bench.workload import OUTPUT_TOKENS, Cell
from engine.batching.batching import Batching
from engine.batching.llama_backend import LlamaBackend
from engine.frames import Start
from engine.interface import Prepared, StepReport, TargetState
from engine.links.worker_link import WorkerLink
from engine.llama import load_vocabulary
from engine.plan import ProcessPlan
from gateway.supervision.child_commands import engine_command
from gateway.supervision.listening import listen_unix
from policies.call import Call, Final, Sampling, Text
from tests.e2e.serving import MODEL, Corral

SLOTS, CONTEXT_TOKENS, BATCH_TOKENS, THREADS = 8, 1024, 512, 1
MEMORY_BYTES = 4 * 1024**3
GREEDY = Sampling(temperature=0.0, seed=1)


class Way(Protocol):
    """One way in; `run` sends all prompts at once and waits for every answer."""

    name: str

    def __enter__(self) -> Self: ...
    def __exit__(self, *fault: object) -> None: ...
    def run(self, prompts: list[str]) -> Cell: ...


class InProcess:
    """The batching loop, called directly."""

    name = "in process"

    def __init__(self, model_file: Path) -> None:
        backend = LlamaBackend(
            model_file, slots=SLOTS, context_tokens=CONTEXT_TOKENS, batch_tokens=BATCH_TOKENS, threads=THREADS
        )
        self._vocabulary = load_vocabulary(model_file)
        self._loop = Batching(
            backend,
            slots=SLOTS,
            context_tokens=CONTEXT_TOKENS,
            batch_tokens=BATCH_TOKENS,
            clock=time.monotonic_ns,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        return None

    def run(self, prompts: list[str]) -> Cell:
        started_s = time.perf_counter()
        for number, text in enumerate(prompts):
            self._loop.start("bench", _start(number, tokens(self._vocabulary, text)))
        first: dict[int, float] = {}
        count = 0
        while self._loop.has_work:
            result = self._loop.step(lambda: False)
            now_s = time.perf_counter() - started_s
            count += result.output_tokens
            for _, output in result.outputs:
                first.setdefault(output.id, now_s)
        return Cell(count, time.perf_counter() - started_s, list(first.values()))


class WorkerSocket:
    """A real worker process behind its wall, over its Unix socket."""

    name = "worker socket"

    def __init__(self, model_file: Path, folder: Path) -> None:
        self._vocabulary = load_vocabulary(model_file)
        self._plan = ProcessPlan(
            name="bench",
            role="chat",
            model=MODEL,
            model_file=str(model_file),
            socket=str(folder / "bench.sock"),
            slots=SLOTS,
            context_tokens=CONTEXT_TOKENS,
            batch_tokens=BATCH_TOKENS,
            threads=THREADS,
            memory_bytes=MEMORY_BYTES,
            timeout_s=2.0,
            flash_attention=True,
        )
        self._runner = asyncio.Runner()
        self._ready = asyncio.Event()

    def __enter__(self) -> Self:
        with listen_unix(Path(self._plan.socket)) as listening:
            command = engine_command(self._plan, listening.fileno())
            self._process = subprocess.Popen(
                command.argv, env=dict(command.environment), pass_fds=command.passed_fds, stderr=subprocess.DEVNULL
            )
        self._runner.run(self._connect())
        return self

    def __exit__(self, *fault: object) -> None:
        self._runner.run(self._link.close())
        self._runner.close()
        self._process.terminate()
        self._process.wait(20)

    def target_changed(self, state: TargetState) -> None:
        if state.ready:
            self._ready.set()

    def step_reported(self, _target: str, _report: StepReport) -> None:
        """Not needed here."""

    def target_died(self, target: str, batch: tuple[Prepared, ...], *, alone: bool) -> None:
        """Not needed here: the streams end with it."""

    def run(self, prompts: list[str]) -> Cell:
        return self._runner.run(self._run(prompts))

    async def _connect(self) -> None:
        self._link = WorkerLink(self._plan, self)
        self._link.open()
        await asyncio.wait_for(self._ready.wait(), 60)

    async def _run(self, prompts: list[str]) -> Cell:
        started_s = time.perf_counter()
        done = await asyncio.gather(*(self._one(text, started_s) for text in prompts))
        return Cell(sum(count for count, _ in done), time.perf_counter() - started_s, [first for _, first in done])

    async def _one(self, text: str, started_s: float) -> tuple[int, float]:
        call = Call(kind="completion", model=MODEL, raw=True, sampling=GREEDY, cache_scope="bench")
        ids = tuple(tokens(self._vocabulary, text))
        prepared = Prepared(call=call, prompt_tokens=len(ids), prompt_ids=(ids,), max_output_tokens=OUTPUT_TOKENS)
        first_s, count = 0.0, 0
        async with self._link.run(prepared, seed=1) as events:
            async for event in events:
                if isinstance(event, Text) and not first_s:
                    first_s = time.perf_counter() - started_s
                if isinstance(event, Final):
                    count = event.usage.output_tokens
        return count, first_s


class Gateway:
    """`corral serve`, as a client sees it: TLS, a key, NDJSON; one thread a stream."""

    name = "gateway"

    def __init__(self, model_file: Path, folder: Path) -> None:
        engine = {"slots": SLOTS, "context_tokens": CONTEXT_TOKENS, "embeddings": False, "threads": THREADS}
        self._corral = Corral(folder, engine=engine).make(model_file)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._corral.start()
        self._stack.callback(self._corral.stop)
        return self

    def __exit__(self, *fault: object) -> None:
        self._stack.close()

    def run(self, prompts: list[str]) -> Cell:
        done: list[tuple[int, float]] = []
        connections = [self._corral.connect() for _ in prompts]
        for connection in connections:
            connection.connect()
        started_s = time.perf_counter()

        def stream(index: int) -> None:
            options = {"temperature": 0, "num_predict": OUTPUT_TOKENS}
            body = {"model": MODEL, "prompt": prompts[index], "raw": True, "options": options}
            headers = {"Authorization": f"Bearer {self._corral.key}"}
            connections[index].request("POST", "/api/generate", json.dumps(body), headers)
            first_s, said = 0.0, {}
            for line in connections[index].getresponse():
                first_s = first_s or time.perf_counter() - started_s
                said = json.loads(line)
            done.append((said["eval_count"], first_s))

        threads = [threading.Thread(target=stream, args=(index,)) for index in range(len(prompts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall_s = time.perf_counter() - started_s
        for connection in connections:
            connection.close()
        return Cell(sum(count for count, _ in done), wall_s, [first for _, first in done])


def tokens(vocabulary: object, text: str) -> list[int]:
    """The prompt's ids, as the preparer makes them for a raw completion."""
    found = vocabulary.tokenize(text, special=False, bos=True)  # type: ignore[attr-defined]
    return [int(token) for token in found]


def _start(number: int, ids: list[int]) -> Start:
    return Start(
        id=number,
        token_ids=(np.asarray(ids, "<i4").tobytes(),),
        sampling=GREEDY,
        max_output_tokens=OUTPUT_TOKENS,
        cache_scope="bench",
    )
