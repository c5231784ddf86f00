"""llama-batched-bench: the same rows decoded in C, with random tokens, without sampling, sockets or text.

All prompts come first, then all answers in step: nobody's first token waits for another's prompt. Each run is a
process of its own; loading the model is not counted.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from bench.engine.sample import Sample, Steps
from bench.engine.way import BATCH_TOKENS, CannotRun, Setting
from bench.engine.workload import SUSTAINED, Load, Prompt

RUN_WITHIN_S = 600.0


class RawC:
    """One run of the program a load."""

    def __init__(self, setting: Setting, program: Path) -> None:
        self.name = "raw C (llama-batched-bench)"
        self.setting = setting
        self._program = program

    def __enter__(self) -> Self:
        if not self._program.is_file():
            raise CannotRun(f"{self._program.name} is not built: make peers")
        return self

    def __exit__(self, *fault: object) -> None:
        return None

    def offers(self, load: Load) -> str:
        if load.temperature or load.schema:
            return "it does not sample"
        if load.shared_tokens or load.name == SUSTAINED:
            return "it knows no requests"
        return ""

    def pids(self) -> list[int]:
        return []  # a process of its own for each run, most of whose time is loading

    def run(self, load: Load, prompts: Sequence[Prompt], number: int) -> Sample:  # noqa: ARG002 - it draws its own
        cores = self.setting.compute_cores
        ran = subprocess.run(
            [str(self._program), *arguments(self.setting, load)],
            capture_output=True,
            text=True,
            check=True,
            timeout=RUN_WITHIN_S,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        return read(ran.stdout, self.name, load, number)


def arguments(setting: Setting, load: Load) -> list[str]:
    """The command line for one load."""
    options = {
        "-m": setting.model_file,
        "-c": setting.slots * setting.context_tokens,
        "-b": BATCH_TOKENS,
        "-ub": BATCH_TOKENS,
        "-t": setting.threads,
        "-tb": setting.threads,
        "-npp": load.prompt_tokens,
        "-ntg": load.output_tokens,
        "-npl": load.streams,
        "--output-format": "jsonl",
        "-fit": "off",
    }
    return ["-kvu", *(str(part) for pair in options.items() for part in pair)]


def read(output: str, name: str, load: Load, number: int) -> Sample:
    """The sample in what the program printed; a load of several waves counts as so many of the one it ran."""
    (line,) = [line for line in output.splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(line)
    waves = load.requests // load.streams
    tokens = waves * found["pl"] * found["tg"]
    return Sample(
        way=name,
        load=load.name,
        streams=load.streams,
        round=number,
        expected_tokens=load.expected_tokens,
        wall_s=waves * (found["t_pp"] + found["t_tg"]),
        tokens=tokens,
        steps=Steps(
            decode_s=waves * (found["t_pp"] + found["t_tg"]),
            total_s=waves * (found["t_pp"] + found["t_tg"]),
            full_s=waves * found["t_tg"],
            full_tokens=tokens,
        ),
    )
