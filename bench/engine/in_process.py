"""The batching loop without a socket: a process that calls it step by step and times what is inside a step.

The end token is ignored, so that every answer has its length. Only the timing is the benchmark's: the loop and its
backend are the workers' own.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Self

from bench.engine.sample import Sample, Steps, Stream, sample_of
from bench.engine.way import BATCH_TOKENS, Setting
from bench.engine.workload import SCHEMA, Load, Prompt
from engine.idle_plan import MOST_BYTES
from engine.model_options import ModelOptions

START_WITHIN_S = 120.0
RUN_WITHIN_S = 600.0


class InProcess:
    """The loop in a process of its own, asked over a pipe."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.name = "loop in process"
        spawn = multiprocessing.get_context("spawn")
        self._pipe, self._far_end = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(self._far_end, setting), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._far_end.close()
        self._answer(START_WITHIN_S)
        return self

    def __exit__(self, *fault: object) -> None:
        self._pipe.close()
        self._process.join(20)
        if self._process.is_alive():
            self._process.terminate()

    def offers(self, load: Load) -> str:  # noqa: ARG002
        return ""

    def pids(self) -> list[int]:
        return [self._process.pid] if self._process.pid else []

    def run(self, load: Load, prompts: Sequence[Prompt], number: int) -> Sample:
        self._pipe.send((self.name, load, list(prompts), number))
        found = self._answer(RUN_WITHIN_S)
        assert isinstance(found, Sample)
        return found

    def _answer(self, within_s: float) -> Any:
        if not self._pipe.poll(within_s):
            raise TimeoutError(f"the loop in process did not answer within {within_s:.0f} s")
        found = self._pipe.recv()
        if isinstance(found, str):
            raise RuntimeError(f"the loop in process: {found}")
        return found


def _serve(pipe: Connection, setting: Setting) -> None:
    """The other process: load, say so, then one sample for each load until the pipe is closed."""
    os.sched_setaffinity(0, setting.compute_cores)
    try:
        loop = _TimedLoop(setting)
        pipe.send(True)
    except Exception as fault:  # noqa: BLE001 - told to the parent, which raises it
        pipe.send(f"{type(fault).__name__}: {fault}")
        return
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        pipe.send(loop.run(*asked))


class _TimedSampler:
    """A request's sampler, its time added to `spent`."""

    def __init__(self, sampler: Any, spent: list[int]) -> None:
        self._sampler = sampler
        self._spent = spent
        self.observe = sampler.observe
        self.close = sampler.close

    def choose(self, row: Any) -> int:
        began_ns = time.perf_counter_ns()
        token_id = self._sampler.choose(row)
        self._spent[0] += time.perf_counter_ns() - began_ns
        return int(token_id)


class _TimedLoop:
    """See the head of the module."""

    def __init__(self, setting: Setting) -> None:
        from engine.batching.batching import Batching  # noqa: PLC0415 - loads llama.cpp, in the child alone
        from engine.batching.llama_backend import LlamaBackend  # noqa: PLC0415
        from engine.llama import schema_to_gbnf  # noqa: PLC0415

        sampling_ns = self._sampling_ns = [0]

        class Backend(LlamaBackend):
            """The workers' own, with timed samplers and no end token."""

            def sampler(self, *arguments: Any, **named: Any) -> Any:
                return _TimedSampler(super().sampler(*arguments, **named), sampling_ns)

            def is_end(self, token_id: int) -> bool:  # noqa: ARG002
                return False

        backend = Backend(
            setting.model_file,
            slots=setting.slots,
            context_tokens=setting.context_tokens,
            batch_tokens=BATCH_TOKENS,
            threads=setting.threads,
            options=ModelOptions(idle_bytes=MOST_BYTES),
        )
        backend.warm_up()
        self._grammar = schema_to_gbnf(json.dumps(SCHEMA))
        self._loop = Batching(
            backend,
            slots=setting.slots,
            context_tokens=setting.context_tokens,
            batch_tokens=BATCH_TOKENS,
            clock=time.monotonic_ns,
        )

    def run(self, name: str, load: Load, prompts: list[Prompt], number: int) -> Sample:
        """One load to its end."""
        self._sampling_ns[0] = 0
        run = _Run(load, prompts, self._start)
        began_s = time.perf_counter()
        run.start_more(load.streams)
        while self._loop.has_work:
            stepped_s = time.perf_counter()
            result = self._loop.step(lambda: False)
            now_s = time.perf_counter()
            run.take(result, now_s - began_s, now_s - stepped_s)
        sample = sample_of(name, load, number, time.perf_counter() - began_s, run.streams)
        return replace(sample, steps=run.steps(self._sampling_ns[0] / 1e9))

    def _start(self, number: int, load: Load, prompt: Prompt) -> None:
        import numpy as np  # noqa: PLC0415 - in the child alone

        from engine.frames import Start  # noqa: PLC0415

        start = Start(
            id=number,
            token_ids=(np.asarray(prompt.ids, "<i4").tobytes(),),
            sampling=load.sampling(prompt.seed),
            max_output_tokens=load.output_tokens,
            cache_scope="bench",
            grammar=self._grammar if load.schema else "",
        )
        if not self._loop.start("bench", start):
            raise RuntimeError("the loop has no slot for a request it should have one for")


class _Run:
    """One load under way: who has begun, what came, and the times of the steps."""

    def __init__(self, load: Load, prompts: list[Prompt], start: Callable[[int, Load, Prompt], None]) -> None:
        self._load = load
        self._waiting = list(enumerate(prompts))
        self._start = start
        self.streams = [Stream() for _ in prompts]
        self._seconds = dict.fromkeys(("decode", "total", "full"), 0.0)
        self._counts = dict.fromkeys(("steps", "full_tokens", "prefill", "cached"), 0)

    def start_more(self, count: int) -> None:
        for _ in range(min(count, len(self._waiting))):
            number, prompt = self._waiting.pop(0)
            self._start(number, self._load, prompt)

    def take(self, result: Any, now_s: float, step_s: float) -> None:
        for _, output in result.outputs:
            self.streams[output.id].stamps_s.append(now_s)
        for _, ended in result.ended:
            if ended.fault:
                raise RuntimeError(ended.fault)
            self.streams[ended.id].tokens = ended.output_tokens
        self._seconds["decode"] += result.step_ns / 1e9
        self._seconds["total"] += step_s
        self._counts["steps"] += 1
        self._counts["prefill"] += result.prefill_rows
        self._counts["cached"] += result.cached_tokens
        if result.decode_rows == self._load.streams and not result.prefill_rows:
            self._seconds["full"] += step_s
            self._counts["full_tokens"] += result.decode_rows
        self.start_more(len(result.ended))

    def steps(self, sampling_s: float) -> Steps:
        return Steps(
            decode_s=self._seconds["decode"],
            sampling_s=sampling_s,
            total_s=self._seconds["total"],
            steps=self._counts["steps"],
            full_s=self._seconds["full"],
            full_tokens=self._counts["full_tokens"],
            prefill_rows=self._counts["prefill"],
            cached_tokens=self._counts["cached"],
        )
