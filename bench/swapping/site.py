"""A real Corral with two models of which its memory budget holds one, and an eye on which processes live."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.pool_admission.faster_model import requantised
from engine.plan import Plan
from engine.plan_file import read_plan
from tests.e2e.serving import MODEL, SYSTEM, Corral, _command_line

SECOND = "smollm2:second"
"""The same weights in another form: another file, so another model of the store."""
MODELS = (MODEL, SECOND)
BUDGET_MIB = 280
LOOK_S = 0.01


@dataclass(slots=True)
class Lives:
    """Worker processes as they were seen: by pid the model, the most at one time, and when each was first seen."""

    models: dict[int, str] = field(default_factory=dict)
    first_s: dict[int, float] = field(default_factory=dict)
    most_at_once: int = 0
    looks: int = 0


class Site:
    """The running Corral, looked at by a thread for as long as the block lasts."""

    def __init__(self, corral: Corral) -> None:
        self.corral = corral
        self.lives = Lives()
        self._over = threading.Event()

    def plan(self) -> Plan:
        """What the supervisor planned."""
        return read_plan(self.corral.home / "run" / "plan.json")

    def workers(self) -> dict[int, str]:
        """The worker processes that live now, by pid, and the model of each."""
        found = {}
        assert self.corral.process is not None
        for pid in _children(self.corral.process.pid):  # not theirs: Python asks ldconfig as it imports
            words = _command_line(pid).split()
            if "engine.worker" in words and "--model" in words:
                found[pid] = words[words.index("--model") + 1]
        return found

    def residences(self) -> list[dict[str, Any]]:
        """As `corral status` tells them."""
        return list(self.corral.status()["residences"])

    @contextlib.contextmanager
    def watched(self) -> Iterator[Lives]:
        """Look all the time."""
        looking = threading.Thread(target=self._look, daemon=True)
        looking.start()
        try:
            yield self.lives
        finally:
            self._over.set()
            looking.join()

    def _look(self) -> None:
        while not self._over.is_set():
            now = self.workers()
            self.lives.looks += 1
            self.lives.most_at_once = max(self.lives.most_at_once, len(now))
            for pid, model in now.items():
                self.lives.models.setdefault(pid, model)
                self.lives.first_s.setdefault(pid, time.monotonic())
            self._over.wait(LOOK_S)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def two_models(model_file: Path, folder: Path, *, patience_s: float) -> Iterator[Site]:
    """Made, started and watched; stopped at the end with status 0."""
    engine = {
        "slots": 2,
        "context_tokens": 256,
        "batch_tokens": 64,
        "threads": 1,
        "embeddings": False,
        "memory_budget_mib": BUDGET_MIB,
        "swap_patience_s": patience_s,
    }
    corral = Corral(folder, engine=engine).make(model_file)
    corral.command("models", "import", str(requantised(model_file, folder)), SECOND, "--system", SYSTEM)
    corral.start()
    try:
        site = Site(corral)
        with site.watched():
            yield site
    finally:
        status = corral.stop()
    if status:
        raise AssertionError(f"corral serve ended with {status}:\n{corral.log()}")
