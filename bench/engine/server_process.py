"""A server that is measured beside Corral: started, waited for, its threads put where they belong, ended."""

import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.engine.way import CannotRun
from tests.e2e.serving import free_port

READY_WITHIN_S = 120.0


class ServerProcess:
    """`command` with `--port N` added; ready when `probe` answers 200."""

    def __init__(self, command: Sequence[str | Path], log: Path, probe: str, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [str(part) for part in command] + ["--port", str(self.port)]
        self._log = log
        self._probe = probe
        self._environment = dict(environment)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                preexec_fn=lambda: os.sched_setaffinity(0, range(os.cpu_count() or 1)),  # noqa: PLW1509
            )
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                self.__exit__()
                said = self._log.read_text(errors="replace").strip().splitlines() or ["nothing"]
                raise CannotRun(f"{Path(self._command[0]).name} did not become ready; it said: {said[-1][:200]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *fault: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self._probe, timeout=1) as answer:
                return int(answer.status) == 200
        except OSError:
            return False


def cpu_s(pids: Sequence[int]) -> float:
    """Processor seconds that these processes took since they started, in user and kernel mode."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pin_threads(pid: int, cores: set[int]) -> None:
    """Every thread that the process has now; those it makes later inherit from the thread that makes them."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        pin_thread(int(thread.name), cores)


def pin_thread(thread_id: int, cores: set[int]) -> None:
    """One thread; one that has ended meanwhile is no fault."""
    with contextlib.suppress(ProcessLookupError):
        os.sched_setaffinity(thread_id, cores)
