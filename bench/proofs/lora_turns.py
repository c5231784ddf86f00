"""Adapters in turns on one worker's loop, the real model and made-up adapters: `make prove P=lora_turns`.

Two adapters with two streams each, in four ways, rounds interleaved: one after the other (no change but one), in turns
(`engine.batching.adapter_turns`), changing at every step, and all four streams under one adapter. Demands:

 (1) turns cost at most a quarter of the throughput that one after the other has, and beat a change at every step
 (2) no stream pauses for longer than a turn of the other adapter may last, and two steps
 (3) changes are as few as the shortest turn allows, by its steps or by its time
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import gguf
import numpy as np

from engine.batching.adapter_groups import AdapterGroups
from engine.batching.adapter_turns import MAX_TURN_NS, MIN_TURN_STEPS, AdapterTurns
from engine.batching.batching import Batching
from engine.batching.llama_backend import LlamaBackend
from engine.frames import Start
from engine.model_options import ModelOptions
from engine.store.gguf_header import GgufHeader, read_header
from policies.call import Sampling
from tests.e2e.serving import REPOSITORY

MODEL_FILE = REPOSITORY / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
NAMES = ("a:1", "b:1")
TARGETS = ("attn_q.weight", "attn_v.weight")
RANK, STREAMS, PROMPT_TOKENS = 8, 4, 32
Turns = Callable[[], AdapterTurns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is run; the small size holds to counts alone."""

    rounds: int
    output_tokens: int
    timed: bool


FULL = Size(rounds=7, output_tokens=96, timed=True)
SMALL = Size(rounds=1, output_tokens=24, timed=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One round in one way: seconds in all, steps, changes, the longest pause of a stream and the longest step."""

    seconds: float
    steps: int
    changes: int
    longest_pause_s: float
    longest_step_s: float
    tokens: int


class EachStep(AdapterTurns):
    """What to compare with: the adapter changes at every step."""

    def choose(self, working: Sequence[str]) -> str:
        """Any other than the last one."""
        others = [adapter for adapter in working if adapter != self.current]
        if working:
            self.current = others[0] if others else working[0]
        return self.current


def prove(size: Size = FULL, model_file: Path = MODEL_FILE) -> dict[str, Any]:
    """Run it. Raises AssertionError when a demand is not met."""
    with tempfile.TemporaryDirectory(prefix="corral-") as folder:
        backend = _backend(model_file.resolve(), Path(folder))
        ways = _ways(backend, size)
        found: dict[str, list[Ran]] = {name: [] for name in ways}
        learnt = AdapterTurns()
        for number in range(size.rounds + size.timed):
            for name, way in ways.items():
                ran = way(learnt)
                if number or not size.timed:  # the first round warms up
                    found[name].append(ran)
        backend.close()
    return _judged(found, learnt, size)


def _ways(backend: LlamaBackend, size: Size) -> dict[str, Callable[[AdapterTurns], Ran]]:
    a, b = NAMES
    return {
        "one after the other": lambda _: _joined(
            _run(backend, size, [a, a], AdapterTurns()), _run(backend, size, [b, b], AdapterTurns())
        ),
        "turns": lambda learnt: _run(backend, size, [a, b, a, b], learnt),
        "each step": lambda _: _run(backend, size, [a, b, a, b], EachStep()),
        "one adapter": lambda _: _run(backend, size, [a] * STREAMS, AdapterTurns()),
    }


def _run(backend: LlamaBackend, size: Size, adapters: Sequence[str], turns: AdapterTurns) -> Ran:
    """All streams at once, from their first step to their last."""
    for slot in range(STREAMS):
        backend.cut(slot, 0)
    backend.use_adapter("")
    groups = AdapterGroups(NAMES, backend.use_adapter, turns)
    loop = Batching(
        backend, slots=STREAMS, context_tokens=256, batch_tokens=128, clock=time.monotonic_ns, adapters=groups
    )
    for number, adapter in enumerate(adapters):
        loop.start("o", _start(number, adapter, size, backend.vocabulary_size))
    return _finish(loop, groups)


def _finish(loop: Batching, groups: AdapterGroups) -> Ran:
    began = time.monotonic()
    last: dict[int, float] = {}
    pauses, steps = [0.0], [0.0]
    tokens = 0
    while loop.has_work:
        before = time.monotonic()
        result = loop.step(lambda: False)
        now = time.monotonic()
        steps.append(now - before)
        tokens += result.output_tokens
        for _, output in result.outputs:
            pauses.append(now - last.get(output.id, now))
            last[output.id] = now
    return Ran(
        seconds=time.monotonic() - began,
        steps=len(steps) - 1,
        changes=groups.changes,
        longest_pause_s=max(pauses),
        longest_step_s=max(steps),
        tokens=tokens,
    )


def _joined(first: Ran, second: Ran) -> Ran:
    return Ran(
        seconds=first.seconds + second.seconds,
        steps=first.steps + second.steps,
        changes=first.changes + second.changes,
        longest_pause_s=max(first.longest_pause_s, second.longest_pause_s),
        longest_step_s=max(first.longest_step_s, second.longest_step_s),
        tokens=first.tokens + second.tokens,
    )


def _start(number: int, adapter: str, size: Size, vocabulary_size: int) -> Start:
    prompt = np.random.default_rng(number).integers(100, min(vocabulary_size, 20000), PROMPT_TOKENS, dtype=np.int32)
    return Start(
        id=number,
        token_ids=(prompt.tobytes(),),
        sampling=Sampling(temperature=1.0, seed=number),
        max_output_tokens=size.output_tokens,
        cache_scope=str(number),
        adapter=adapter,
    )


def _backend(model_file: Path, folder: Path) -> LlamaBackend:
    header = read_header(model_file)
    adapters = {name: _adapter(folder / f"{seed}.gguf", header, seed) for seed, name in enumerate(NAMES)}
    options = ModelOptions(adapters=adapters)
    backend = LlamaBackend(model_file, slots=STREAMS, context_tokens=256, batch_tokens=128, threads=1, options=options)
    backend.warm_up()
    assert backend.adapters.names == NAMES, backend.adapters.faults
    return backend


def _adapter(path: Path, base: GgufHeader, seed: int) -> Path:
    """A made-up adapter for the attention of every layer."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, base.architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * RANK)
    for tensor in base.tensors:
        if tensor.name.endswith(TARGETS):
            width, rows = tensor.shape
            writer.add_tensor(f"{tensor.name}.lora_a", random.normal(0, 0.02, (RANK, width)).astype(np.float32))
            writer.add_tensor(f"{tensor.name}.lora_b", random.normal(0, 0.02, (rows, RANK)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _judged(found: dict[str, list[Ran]], learnt: AdapterTurns, size: Size) -> dict[str, Any]:
    rates = {name: median(ran.tokens / ran.seconds for ran in rounds) for name, rounds in found.items()}
    turns, each = found["turns"], found["each step"]
    for ran in turns:
        most = 1 + ran.steps / MIN_TURN_STEPS + ran.seconds / (MAX_TURN_NS / 1e9)
        assert ran.changes <= most, f"{ran.changes} changes in {ran.steps} steps"
        assert ran.changes < each[0].changes
        bound_s = MAX_TURN_NS / 1e9 + 3 * ran.longest_step_s
        assert ran.longest_pause_s <= bound_s or not size.timed, f"a pause of {ran.longest_pause_s:.3f} s"
    share = rates["turns"] / rates["one after the other"]
    if size.timed:
        assert share >= 0.75, f"turns have {share:.0%} of the throughput of one after the other"
        assert rates["turns"] > rates["each step"], f"turns are no faster than a change at every step: {rates}"
    return {
        "tokens_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "turns_over_one_after_the_other": round(share, 3),
        "turns_over_each_step": round(rates["turns"] / rates["each step"], 3),
        "changes_a_round": {name: median(ran.changes for ran in rounds) for name, rounds in found.items()},
        "steps_a_round": {name: median(ran.steps for ran in rounds) for name, rounds in found.items()},
        "longest_pause_ms": {
            name: round(1e3 * max(ran.longest_pause_s for ran in rounds)) for name, rounds in found.items()
        },
        "learnt_cost_ms": round(learnt.cost_ns / 1e6, 2),
        "rounds": size.rounds,
    }
