"""A worker as the supervisor starts it, walls included, over its Unix socket, and no gateway: frames in, frames out."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from bench.engine.sample import Sample, Steps, Stream, sample_of
from bench.engine.server_process import pin_threads
from bench.engine.way import BATCH_TOKENS, Setting
from bench.engine.workload import SCHEMA, Load, Prompt
from engine.fitting.machine import GIB
from engine.idle_plan import MOST_BYTES
from engine.interface import Prepared, StepReport, TargetState
from engine.links.worker_link import WorkerLink
from engine.plan import ProcessPlan
from gateway.supervision.child_commands import engine_command
from gateway.supervision.listening import listen_unix
from policies.call import Call, Final, Text
from tests.e2e.serving import MODEL

READY_WITHIN_S = 120.0
RUN_WITHIN_S = 600.0


class WorkerSocket:
    """The running worker and one connection to it; this process is the reader."""

    def __init__(self, setting: Setting) -> None:
        self.name = "worker through its socket"
        self.setting = setting
        self._plan = plan(setting)
        self._runner = asyncio.Runner()
        self._ready = asyncio.Event()
        self._reports: list[StepReport] = []

    def __enter__(self) -> Self:
        self._grammar = _grammar()
        with listen_unix(Path(self._plan.socket)) as listening:
            command = engine_command(self._plan, listening.fileno())
            cores = self.setting.compute_cores
            self._process = subprocess.Popen(
                command.argv,
                env=dict(command.environment),
                pass_fds=command.passed_fds,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509
            )
        self._runner.run(self._connect())
        pin_threads(self._process.pid, cores)
        return self

    def __exit__(self, *fault: object) -> None:
        self._runner.run(self._link.close())
        self._runner.close()
        self._process.terminate()
        self._process.wait(60)

    def offers(self, load: Load) -> str:  # noqa: ARG002
        return ""

    def pids(self) -> list[int]:
        return [self._process.pid]

    def run(self, load: Load, prompts: Sequence[Prompt], number: int) -> Sample:
        self._reports.clear()
        return self._runner.run(asyncio.wait_for(self._run(load, prompts, number), RUN_WITHIN_S))

    # ---- the link's observer

    def target_changed(self, state: TargetState) -> None:
        if state.ready:
            self._ready.set()

    def step_reported(self, _target: str, report: StepReport) -> None:
        self._reports.append(report)

    def target_died(self, target: str, batch: tuple[Prepared, ...], *, alone: bool) -> None:
        """The streams end with it, which fails the run."""

    # ---- inside

    async def _connect(self) -> None:
        self._link = WorkerLink(self._plan, self)
        self._link.open()
        await asyncio.wait_for(self._ready.wait(), READY_WITHIN_S)

    async def _run(self, load: Load, prompts: Sequence[Prompt], number: int) -> Sample:
        waiting = iter(prompts)
        streams: list[Stream] = []
        began_s = time.perf_counter()

        async def one_after_another() -> None:
            for prompt in waiting:
                stream = Stream()
                streams.append(stream)
                await self._one(load, prompt, stream, began_s)

        async with asyncio.TaskGroup() as together:
            for _ in range(load.streams):
                together.create_task(one_after_another())
        sample = sample_of(self.name, load, number, time.perf_counter() - began_s, streams)
        return replace(sample, steps=steps_of(self._reports))

    async def _one(self, load: Load, prompt: Prompt, stream: Stream, began_s: float) -> None:
        call = Call(
            kind="completion", model=MODEL, raw=True, sampling=load.sampling(prompt.seed), cache_scope="bench"
        )  # fmt: skip
        prepared = Prepared(
            call=call,
            prompt_tokens=len(prompt.ids),
            prompt_ids=(prompt.ids,),
            max_output_tokens=load.output_tokens,
            grammar=self._grammar if load.schema else "",
        )
        async with self._link.run(prepared, seed=prompt.seed) as events:
            async for event in events:
                if isinstance(event, Text):
                    stream.stamps_s.append(time.perf_counter() - began_s)
                elif isinstance(event, Final):
                    stream.tokens = event.usage.output_tokens


def plan(setting: Setting) -> ProcessPlan:
    """The worker's plan."""
    return ProcessPlan(
        name="bench",
        role="chat",
        model=MODEL,
        model_file=str(setting.model_file),
        socket=str(setting.folder / "bench.sock"),
        slots=setting.slots,
        context_tokens=setting.context_tokens,
        batch_tokens=BATCH_TOKENS,
        threads=setting.threads,
        memory_bytes=4 * GIB,
        timeout_s=2.0,
        idle_bytes=MOST_BYTES,
        flash_attention=True,  # as the planner decides, and llama.cpp by itself, for this model
    )


def steps_of(reports: Sequence[StepReport]) -> Steps:
    """What the worker said of its steps."""
    return Steps(
        decode_s=sum(each.step_ns for each in reports) / 1e9,
        steps=len(reports),
        prefill_rows=sum(each.prefill_rows for each in reports),
        cached_tokens=sum(each.cached_tokens for each in reports),
    )


def _grammar() -> str:
    from engine.llama import schema_to_gbnf  # noqa: PLC0415 - loads llama.cpp

    return schema_to_gbnf(json.dumps(SCHEMA))
