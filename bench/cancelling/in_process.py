"""Cancels against the real loop in this process, where its slots and cells can be seen.

Each step every request but a spared few may be cancelled, or go with its connection; and inside a step with prompt
rows a cancel may fall, as the worker sees it there: the computation is asked to give up, and the time until it has is
kept.
"""

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.cancelling.process_state import descriptors, resident_bytes, summary
from bench.cancelling.random_requests import RandomRequests
from engine.batching.batching import Batching
from engine.batching.llama_backend import LlamaBackend
from engine.batching.slot_table import SlotTable
from engine.frames import Ended
from engine.kv_memory import KvMemory
from engine.model_options import ModelOptions

SLOTS, CONTEXT_TOKENS, CELLS, BATCH_TOKENS = 8, 512, 600, 512
OWNERS = ("left", "middle", "right")
CANCEL_SHARE, DROP_SHARE, INSIDE_SHARE = 0.3, 0.02, 0.5
SETTLED_SHARE = 0.2  # of the cancels: caches and buffers have their size then


class CancelledLoop:
    """The loop, its requests, and what became of them. `met` counts the states in which cancels met requests.

    A share of `spared` requests ends early only with its connection.
    """

    def __init__(self, model_file: Path, seed: int, ids: int, *, spared: float = 0.2) -> None:
        self._backend = LlamaBackend(
            model_file,
            slots=SLOTS,
            context_tokens=CONTEXT_TOKENS,
            batch_tokens=BATCH_TOKENS,
            threads=1,
            options=ModelOptions(kv=KvMemory(cells=CELLS)),
        )
        self._backend.warm_up()
        self._empty_bytes = self._backend.state_bytes()
        self._loop = Batching(
            self._backend,
            slots=SLOTS,
            context_tokens=self._backend.context_tokens,
            batch_tokens=BATCH_TOKENS,
            clock=time.monotonic_ns,
        )
        self._requests = RandomRequests(seed, ids)
        self._spared_share = spared
        self._draw = random.Random(seed)
        self._live: dict[int, str] = {}
        self._spared: set[int] = set()
        self._next_id = 0
        self.met: Counter[str] = Counter()
        self.ended: list[Ended] = []
        self.sent_tokens: Counter[int] = Counter()
        self.abandoned_ms: list[float] = []
        self.abandoned_cpu_ms: list[float] = []

    @property
    def cancelled(self) -> int:
        return sum(self.met.values())

    def run(self, cancels: int) -> dict[str, Any]:
        """Cancel so many, let the rest end, and say what is left of it all. Raises AssertionError for a loss."""
        settled: tuple[int, int] | None = None
        while self.cancelled < cancels:
            self._step()
            if settled is None and self.cancelled >= SETTLED_SHARE * cancels:
                settled = self._held()
        while self._loop.has_work:
            self._keep(self._loop.step(lambda: False))
        found = self._figures(settled or self._held())
        self._backend.close()
        return found

    def _step(self) -> None:
        while self._draw.random() < 0.9:
            owner = self._draw.choice(OWNERS)
            if not self._loop.start(owner, self._requests.start(self._next_id)):
                break
            self._live[self._next_id] = owner
            if self._draw.random() < self._spared_share:
                self._spared.add(self._next_id)
            self._next_id += 1
        inside = self._choose_inside()
        self._keep(self._loop.step(inside.ask if inside else lambda: False))
        if inside and inside.asked_ns:
            took_ms = (time.monotonic_ns() - inside.asked_ns) / 1e6
            cpu_ms = (time.thread_time_ns() - inside.before_cpu_ns) / 1e6
            self.abandoned_ms.append(took_ms)
            self.abandoned_cpu_ms.append(min(took_ms, cpu_ms))  # `before` is up to a node before the cancel
        if inside and inside.id in self._live:
            self._cancel(inside.id)
        for id_ in [id_ for id_ in self._live if self._is_doomed(id_)]:
            self._cancel(id_)
        if self._draw.random() < DROP_SHARE:
            self._drop(self._draw.choice(OWNERS))

    def _is_doomed(self, id_: int) -> bool:
        return id_ not in self._spared and self._draw.random() < CANCEL_SHARE

    def _choose_inside(self) -> "Inside | None":
        doomed = {id_: owner for id_, owner in self._live.items() if id_ not in self._spared}
        candidates = [id_ for id_, owner in doomed.items() if self._loop.would_interrupt(owner, id_)]
        if not candidates or self._draw.random() > INSIDE_SHARE:
            return None
        return Inside(self._draw.choice(candidates), self._draw.random() * 0.05)

    def _cancel(self, id_: int) -> None:
        owner = self._live.pop(id_)
        self.met[self._state(owner, id_)] += 1
        self._loop.cancel(owner, id_)

    def _drop(self, owner: str) -> None:
        for id_ in [id_ for id_, each in self._live.items() if each == owner]:
            self.met[f"{self._state(owner, id_)}, dropped"] += 1
            del self._live[id_]
        self._loop.drop(owner)

    def _state(self, owner: str, id_: int) -> str:
        (slot,) = self._table.of(owner, id_)
        return slot.state.value

    def _keep(self, result: Any) -> None:
        for _, output in result.outputs:
            self.sent_tokens[output.id] += output.output_tokens
        for _, ended in result.ended:
            assert ended.id in self._live, "a cancelled request was ended"
            assert not ended.fault, ended.fault
            del self._live[ended.id]
            self.ended.append(ended)

    @property
    def _table(self) -> SlotTable:
        return self._loop._table  # noqa: SLF001 - what must be empty in the end

    def _held(self) -> tuple[int, int]:
        return descriptors(os.getpid()), resident_bytes(os.getpid())

    def _figures(self, settled: tuple[int, int]) -> dict[str, Any]:
        counters = self._loop.counters()
        before, after = settled, self._held()
        while self._table.forget_oldest_prefix():
            pass
        found: dict[str, Any] = {
            "cancels": self.cancelled, "met": dict(sorted(self.met.items())), "completed": len(self.ended),
            "parked": counters.parked, "steps": counters.steps,
            "slots_lost": counters.busy_slots, "cells_lost": self._table.cells - self._table.free_cells,
            "context_bytes_lost": self._backend.state_bytes() - self._empty_bytes,
            "descriptors_lost": after[0] - before[0], "resident_growth_bytes": after[1] - before[1],
            "abandoned": len(self.abandoned_ms),
            "abandoned_ms": summary(self.abandoned_ms), "abandoned_cpu_ms": summary(self.abandoned_cpu_ms),
        }  # fmt: skip
        assert counters.started == counters.ended + counters.cancelled, counters
        assert counters.cancelled == self.cancelled, (counters, self.cancelled)
        assert not self._live, "a request was neither ended nor cancelled"
        return found


class Inside:
    """A cancel of request `id` that falls `delay_s` after a step began.

    `before_cpu_ns` is the thread's own time when it was asked last before that moment: what it takes from there on, no
    other process on the machine adds to.
    """

    def __init__(self, id_: int, delay_s: float) -> None:
        self.id = id_
        self.asked_ns = 0  # when it was due; 0 as long as the step did not last so long
        self._delay_ns = int(delay_s * 1e9)
        self._began_ns = time.monotonic_ns()
        self.before_cpu_ns = time.thread_time_ns()

    def ask(self) -> bool:
        """What the loop asks inside a computation."""
        if time.monotonic_ns() - self._began_ns < self._delay_ns:
            self.before_cpu_ns = time.thread_time_ns()
            return False
        self.asked_ns = self.asked_ns or self._began_ns + self._delay_ns
        return True
