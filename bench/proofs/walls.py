"""What the two walls cost a worker: tokens per second of the same load, walled and open, turn and turn about.

Two real workers on the real model, one as it is served and one without its walls (`bench.unwalled_worker`); both stay
up, one works at a time. In each round both decode the same prompts, and which of them begins changes. Of each round
counts the ratio; the figure is their geometric mean with its 95 % interval (t over the logarithms), and the bound is
that the whole interval lies above 97 %. Beside it the same of processor time, which neighbours disturb less.
"""

import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.frames import PROTOCOL_VERSION, Ended, FrameReader, Hello, Start, Step, WorkerAnswer, encode
from policies.call import Sampling

ROOT = Path(__file__).resolve().parents[2]
MODEL_FILE = ROOT / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
MODULES = {"walled": "engine.worker", "open": "bench.unwalled_worker"}
STREAMS, PROMPT_TOKENS = 4, 32
MOST_LOST = 0.03
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 8: 2.36, 12: 2.20, 20: 2.09, 30: 2.05, 40: 2.02, 60: 2.0}
"""Student's t for 95 %, both sides, by the number of rounds."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Size(NamedTuple):
    """How much is measured."""

    rounds: int
    output_tokens: int


FULL = Size(rounds=60, output_tokens=32)


class Cell(NamedTuple):
    """One worker's part of one round."""

    tokens: int
    wall_s: float
    cpu_s: float


class Link:
    """A worker process and a connection to it, which waits."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.pid = process.pid
        self._stream = socket.socket(socket.AF_UNIX)
        self._stream.settimeout(120)
        self._stream.connect(str(path))
        self._reader = FrameReader(WorkerAnswer)
        self._stream.sendall(encode(Hello(version=PROTOCOL_VERSION)))

    def run(self, round_number: int, output_tokens: int) -> Cell:
        """Decode STREAMS prompts together; no prefix of an earlier round is used again."""
        starts = [_start(number, round_number, output_tokens) for number in range(STREAMS)]
        began_s, began_cpu_s = time.perf_counter(), self._cpu_s()
        self._stream.sendall(b"".join(map(encode, starts)))
        ended: list[Ended] = []
        while len(ended) < STREAMS:
            for frame in self._reader.feed(self._stream.recv(1 << 16)):
                ended += frame.ended if isinstance(frame, Step) else ()
        assert not any(each.fault for each in ended), ended
        tokens = sum(each.output_tokens for each in ended)
        return Cell(tokens, time.perf_counter() - began_s, self._cpu_s() - began_cpu_s)

    def filters(self) -> int:
        """How many system-call filters hold for the process."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Seccomp_filters")))

    def close(self) -> None:
        self._stream.close()

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def prove(size: Size = FULL, model_file: Path = MODEL_FILE) -> dict[str, Any]:
    """Run it. Raises AssertionError when the walls cost more than they may."""
    figures = measure(size, model_file)
    print(figures, flush=True)  # also where the bound does not hold: a busy machine shows as a wide interval
    low = figures["tokens_per_s_ratio"]["low"]
    assert low >= 1 - MOST_LOST, f"a walled worker may be slower by more than {MOST_LOST:.0%}: at worst {low:.3f}"
    return figures


def measure(size: Size, model_file: Path) -> dict[str, Any]:
    """The figures alone, for any size."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        links = {
            name: stack.enter_context(_worker(module, model_file.resolve(), Path(folder)))
            for name, module in MODULES.items()
        }
        for link in links.values():
            link.run(size.rounds, size.output_tokens)  # it serves now, and its caches are warm
        filters = {name: link.filters() for name, link in links.items()}
        rounds = [_round(links, number, size.output_tokens) for number in range(size.rounds)]
    return {
        "streams": STREAMS, "rounds": size.rounds, "seccomp_filters": filters,
        "tokens": {name: sum(each[name].tokens for each in rounds) for name in MODULES},
        "tokens_per_s": {
            name: round(statistics.median(each[name].tokens / each[name].wall_s for each in rounds), 2)
            for name in MODULES
        },
        "tokens_per_s_ratio": _interval([each["open"].wall_s / each["walled"].wall_s for each in rounds]),
        "tokens_per_cpu_s_ratio": _interval([each["open"].cpu_s / each["walled"].cpu_s for each in rounds]),
    }  # fmt: skip


def _round(links: dict[str, Link], number: int, output_tokens: int) -> dict[str, Cell]:
    order = list(links) if number % 2 else list(reversed(links))
    cells = {name: links[name].run(number, output_tokens) for name in order}
    print({name: round(cell.tokens / cell.wall_s, 1) for name, cell in sorted(cells.items())}, flush=True)
    assert cells["walled"].tokens == cells["open"].tokens, "not the same work"
    return cells


def _interval(ratios: list[float]) -> dict[str, float]:
    """Geometric mean and its 95 % interval; of one round there is none."""
    logs = [math.log(ratio) for ratio in ratios]
    middle = statistics.mean(logs)
    factor = next((t for rounds, t in sorted(T_95.items(), reverse=True) if rounds <= len(logs)), math.inf)
    reach = factor * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.inf
    ends = {"mean": middle, "low": middle - reach, "high": middle + reach}
    return {name: round(math.exp(min(value, 700)), 4) for name, value in ends.items()}


def _start(number: int, round_number: int, output_tokens: int) -> Start:
    draw = np.random.default_rng([number, 7])  # the same text each round, so that every round is the same work
    ids = draw.integers(1000, 40_000, PROMPT_TOKENS, np.int32)
    return Start(
        id=number,
        token_ids=(ids.astype("<i4").tobytes(),),
        sampling=Sampling(temperature=0.0, seed=1),
        max_output_tokens=output_tokens,
        cache_scope=f"{round_number}-{number}",
    )


@contextmanager
def _worker(module: str, model_file: Path, folder: Path) -> Iterator[Link]:
    path = folder / f"{module}.sock"
    options: dict[str, object] = {
        "model-file": model_file, "model": "smollm2:135m", "role": "chat", "slots": STREAMS, "context-tokens": 512,
        "batch-tokens": 256, "threads": 1, "memory-bytes": 2 << 30,
    }  # fmt: skip
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        options["listen-fd"] = listener.fileno()
        pairs = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *pairs],
            env={"PYTHONPATH": str(ROOT), "PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            pass_fds=(listener.fileno(),),
        )
    link = Link(process, path)
    try:
        yield link
    finally:
        link.close()
        process.terminate()
        process.wait(60)
