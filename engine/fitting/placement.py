"""Where the layers of a model go, and with how many slots and how much context it runs. Pure.

Rules:

 (1) Candidates stand in one chain in which no step takes away a layer on a GPU, a slot or a token of context; the
     highest that fits is the plan. So more memory never gives less of any.
 (2) Without a GPU the chain is the ladder of shapes (`engine.fitting.ladder`).
 (3) With GPUs: the ladder up to two slots of the wanted context, all on the CPU; then layers to the GPUs one by one,
     all experts staying on the CPU; then the experts, the first layers' last; then the rest of the ladder.
     More slots are thus taken only when nothing else could still move; `gpu_layers` ends that wait.
 (4) As llama.cpp does it, the last layers go first and the output layer before all; over several GPUs whole layers in
     order, with their keys and values, each GPU until it is full. The token table stays on the CPU.
 (5) Every device carries compute buffers; a GPU the runtime's own memory, the CPU that of the worker process.
     On the CPU, tensors repacked for it replace the mapped file, whose pages the kernel then takes back: counted once.
 (6) What fits nowhere is refused, with the candidate that comes nearest for the arithmetic.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from engine.fitting.ladder import Overrides, Rung, check_overrides, flash_possible, rungs_of
from engine.fitting.machine import (
    MIB,
    PROVEN_KINDS,
    RUNTIME_BYTES,
    GpuKind,
    Machine,
    memory_budget_bytes,
    share_threads,
)
from engine.fitting.model_size import ContextShape, ModelSize, compute_bytes, input_compute_bytes, kv_bytes

# Interpreter, numpy and library of one worker: 66 MB of private memory were measured, 23 of them keys and values.
PROCESS_BYTES = 64 * MIB
SLOTS_BEFORE_LAYERS = 2


class DeviceUse(Struct, frozen=True, kw_only=True):
    """What one device holds, in bytes, and its limit. `layers` without the output layer."""

    name: str
    kind: Literal["cpu"] | GpuKind
    layers: int
    holds_output: bool
    weights_bytes: int
    kv_bytes: int
    buffer_bytes: int
    runtime_bytes: int
    limit_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.buffer_bytes + self.runtime_bytes


class Fit(Struct, frozen=True, kw_only=True):
    """How one worker runs its model. The CPU is `devices[0]`, GPUs that hold something follow in order.

    `gpu_layers` counts the output layer and is llama.cpp's `n_gpu_layers`; `tensor_split` likewise. `over_bytes` is
    what is missing; 0 in every plan that is not refused. `run_on_hardware` False: planned by arithmetic alone.
    """

    shape: ContextShape
    threads: int
    gpu_layers: int
    cpu_expert_layers: int
    devices: tuple[DeviceUse, ...]
    tensor_split: tuple[int, ...]
    over_bytes: int
    run_on_hardware: bool

    @property
    def total_bytes(self) -> int:
        return sum(device.total_bytes for device in self.devices)


class DoesNotFit(Exception):
    """No candidate fits; `nearest` is the one that misses least."""

    def __init__(self, nearest: Fit) -> None:
        super().__init__(f"{nearest.over_bytes} bytes are missing")
        self.nearest = nearest


class _Candidate(Struct, frozen=True, kw_only=True):
    gpu_layers: int
    cpu_expert_layers: int
    rung: Rung


class _Load(Struct):
    """A device that is being filled."""

    layers: int = 0
    output: int = 0
    weights_bytes: int = 0
    kv_bytes: int = 0

    def add(self, weights_bytes: int, kv_bytes: int, *, output: bool) -> None:
        self.weights_bytes += weights_bytes
        self.kv_bytes += kv_bytes
        self.output += output
        self.layers += not output


def fit(model: ModelSize, machine: Machine, overrides: Overrides, *, threads: int | None = None) -> Fit:
    """The plan for one worker; `threads` is its share when several run. Raises OverrideRefused and DoesNotFit."""
    check_overrides(model, machine, overrides)
    threads = overrides.threads or threads or share_threads(machine.cores, 1)[0]
    tried: list[Fit] = []
    for candidate in reversed(_chain(model, machine, overrides)):
        for shape in _shapes(model, machine, overrides, candidate.rung):
            found = _evaluate(model, machine, overrides, candidate, shape)
            if not found.over_bytes:
                return msgspec.structs.replace(found, threads=threads)
            tried.append(found)
    raise DoesNotFit(msgspec.structs.replace(min(reversed(tried), key=lambda one: one.over_bytes), threads=threads))


def _chain(model: ModelSize, machine: Machine, overrides: Overrides) -> list[_Candidate]:
    """All candidates, lowest first: rules (1) to (3)."""
    rungs = rungs_of(model, machine, overrides)
    layers = _choices(overrides.gpu_layers, range(len(model.layers) + 2) if machine.gpus else range(1))
    movable = model.has_experts and layers[-1]
    experts = _choices(overrides.cpu_expert_layers, range(len(model.layers), -1, -1) if movable else range(1))
    base = _base(rungs) if layers[-1] else len(rungs) - 1
    steps = [
        *((layers[0], experts[0], rung) for rung in rungs[: base + 1]),
        *((more, experts[0], rungs[base]) for more in layers[1:]),
        *((layers[-1], fewer, rungs[base]) for fewer in experts[1:]),
        *((layers[-1], experts[-1], rung) for rung in rungs[base + 1 :]),
    ]
    return [_Candidate(gpu_layers=count, cpu_expert_layers=kept, rung=rung) for count, kept, rung in steps]


def _choices(stated: int | None, planned: range) -> tuple[int, ...]:
    return tuple(planned) if stated is None else (stated,)


def _base(rungs: tuple[Rung, ...]) -> int:
    """The rung that is reached before layers move, rule (3)."""
    slots = min(SLOTS_BEFORE_LAYERS, rungs[-1].slots)
    return next(number for number, rung in enumerate(rungs) if rung.wanted and rung.slots >= slots)


def _shapes(model: ModelSize, machine: Machine, overrides: Overrides, rung: Rung) -> Iterator[ContextShape]:
    flash = flash_possible(model, machine, overrides) and overrides.flash_attention is not False
    for kv_type in rung.kv_types:
        yield ContextShape(
            slots=rung.slots,
            context_tokens=rung.context_tokens,
            batch_tokens=rung.batch_tokens,
            kv_type=kv_type,
            flash_attention=flash,
            full_windows=overrides.full_windows,
            result_rows=rung.batch_tokens if overrides.every_row_results else 0,
            kv_cells=overrides.kv_cells or 0,
        )


def _evaluate(
    model: ModelSize, machine: Machine, overrides: Overrides, candidate: _Candidate, shape: ContextShape
) -> Fit:
    """The candidate carried out, fitting or not, with one thread."""
    first = len(model.layers) + 1 - candidate.gpu_layers
    loads = _fill(model, machine, candidate, shape, first)
    used = [
        _gpu_use(model, machine, number, load, shape) for number, load in enumerate(loads) if load.layers + load.output
    ]
    limit = overrides.memory_bytes if overrides.memory_bytes is not None else memory_budget_bytes(machine)
    host = _cpu_use(model, candidate, shape, first, limit)
    shared = sum(use.total_bytes for use in used if use.kind == "apple")
    over = max(0, host.total_bytes + shared - limit) + sum(max(0, use.total_bytes - use.limit_bytes) for use in used)
    return Fit(
        shape=shape,
        threads=1,
        gpu_layers=candidate.gpu_layers,
        cpu_expert_layers=candidate.cpu_expert_layers,
        devices=(host, *used),
        tensor_split=tuple(load.layers + load.output for load in loads),
        over_bytes=over,
        run_on_hardware=all(use.kind in PROVEN_KINDS for use in used),
    )


def _fill(
    model: ModelSize, machine: Machine, candidate: _Candidate, shape: ContextShape, first: int
) -> tuple[_Load, ...]:
    """Layers from `first` on and the output layer over the GPUs in order, rule (4); the last takes what is left."""
    rooms = [gpu.free_bytes - RUNTIME_BYTES[gpu.kind] - compute_bytes(model, shape) for gpu in machine.gpus]
    loads = tuple(_Load() for _ in rooms)
    number = 0
    for index in range(first, len(model.layers) + 1):
        weights, keys = _unit_bytes(model, candidate, shape, index)
        while number < len(loads) - 1 and _held(loads[number]) + weights + keys > rooms[number]:
            number += 1
        loads[number].add(weights, keys, output=index == len(model.layers))
    return loads


def _held(load: _Load) -> int:
    return load.weights_bytes + load.kv_bytes


def _unit_bytes(model: ModelSize, candidate: _Candidate, shape: ContextShape, index: int) -> tuple[int, int]:
    """Weights and keys of layer `index` on a GPU; the output layer is the one after the last."""
    if index == len(model.layers):
        return model.output_bytes, 0
    layer = model.layers[index]
    experts = layer.expert_bytes if index >= candidate.cpu_expert_layers else 0
    return layer.dense_bytes + experts, kv_bytes(layer, shape)


def _gpu_use(model: ModelSize, machine: Machine, number: int, load: _Load, shape: ContextShape) -> DeviceUse:
    gpu = machine.gpus[number]
    return DeviceUse(
        name=gpu.name,
        kind=gpu.kind,
        layers=load.layers,
        holds_output=bool(load.output),
        weights_bytes=load.weights_bytes,
        kv_bytes=load.kv_bytes,
        buffer_bytes=compute_bytes(model, shape),
        runtime_bytes=RUNTIME_BYTES[gpu.kind],
        limit_bytes=gpu.free_bytes,
    )


def _cpu_use(model: ModelSize, candidate: _Candidate, shape: ContextShape, first: int, limit: int) -> DeviceUse:
    own, moved = model.layers[:first], model.layers[first : candidate.cpu_expert_layers]
    output = first > len(model.layers)
    weights = model.input_bytes + sum(layer.dense_bytes + layer.expert_bytes for layer in own)
    weights += sum(layer.expert_bytes for layer in moved)
    computes = output or bool(own) or any(layer.expert_bytes for layer in moved)
    return DeviceUse(
        name="CPU",
        kind="cpu",
        layers=len(own),
        holds_output=output,
        weights_bytes=weights + (model.output_bytes if output and not model.shares_output else 0),
        kv_bytes=sum(kv_bytes(layer, shape) for layer in own),
        buffer_bytes=compute_bytes(model, shape) if computes else input_compute_bytes(model, shape),
        runtime_bytes=PROCESS_BYTES + 4 * (shape.result_rows or shape.slots) * model.vocabulary,
        limit_bytes=limit,
    )
