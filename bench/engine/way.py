"""What a way in is to the benchmark, and the machine's settings that all of them share.

Cores: with one thread, whatever computes has the last core to itself and everything else (gateway, client, HTTP
threads) the first. llama.cpp's threads spin at barriers, so with as many threads as cores nothing is pinned.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from bench.engine.sample import Sample
from bench.engine.workload import Load, Prompt

BATCH_TOKENS = 512


class CannotRun(Exception):
    """This way is not available here; the message is one line with the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The same for all ways. `folder` is for what they write."""

    model_file: Path
    folder: Path
    slots: int = 16
    context_tokens: int = 1024
    threads: int = 1

    @property
    def compute_cores(self) -> set[int]:
        """Where the model is computed."""
        cores = all_cores()
        return set(cores) if self.threads > 1 else {cores[-1]}

    @property
    def other_cores(self) -> set[int]:
        """Where all else runs."""
        cores = all_cores()
        return set(cores[:-1]) or set(cores)


def all_cores() -> list[int]:
    """Every core this machine gives to anybody, whatever this process is pinned to."""
    return list(range(os.cpu_count() or 1))


class Way(Protocol):
    """One way in. Entering starts what it needs and raises CannotRun where that is not there.

    `offers` is empty, or why this load cannot be run this way. `run` sends the load's requests, `load.streams` of
    them under way at any time, and waits for every answer. `pids` are the processes that serve it, the client's aside.
    """

    name: str
    setting: Setting

    def __enter__(self) -> Self: ...
    def __exit__(self, *fault: object) -> None: ...
    def offers(self, load: Load) -> str: ...
    def pids(self) -> list[int]: ...
    def run(self, load: Load, prompts: Sequence[Prompt], number: int) -> Sample: ...
