"""With which slots, context, KV type and memory the workers of one model run here, by `config.yaml` and machine; pure.

Rules:

 (1) What `config.yaml` states stays, a context never beyond what the model states. What it leaves open is planned up to
     8 slots of 4096 tokens: more would keep other models out of memory for what few callers use.
 (2) A chat worker may have the whole budget to itself, and so may an embedding worker, which holds one input of that
     context and one batch at 16 bits, on the CPU. Where both do not fit together they take turns.
 (3) Taking turns costs a load each time. So the chat worker leaves room for the embedding worker beside it where it
     keeps its context, two slots and a KV type other than q4_0.
 (4) Both have the same context: where the embedding worker does not fit, a shorter one is planned for both. What does
     not fit alone then is refused; `engine.fitting.remedies` says what would.
 (5) GPUs belong to chat workers, in equal shares, since all of them may be loaded together; a worker uses one GPU.

Which model is in memory when is not decided here.
"""

import msgspec
from msgspec import Struct

from engine.fitting.ladder import LEAST_CONTEXT_TOKENS, WANTED_CONTEXT_TOKENS, Overrides
from engine.fitting.machine import GIB, MIB, Machine, memory_budget_bytes
from engine.fitting.model_size import ModelSize
from engine.fitting.placement import DoesNotFit, Fit, fit
from engine.settings import EngineSettings

# Private memory of a preparer beyond the first, which the machine's own budget has room for: 39 MB were measured with
# a vocabulary of 49,152 tokens.
PREPARER_BYTES = 64 * MIB
MOST_BATCH_TOKENS = 8192
SLOTS_BESIDE = 2
CONTEXTS = (WANTED_CONTEXT_TOKENS, 2048, 1024, LEAST_CONTEXT_TOKENS)


class VectorsDoNotFit(DoesNotFit):
    """The embedding worker does not fit, though the chat worker does."""


class ModelFit(Struct, frozen=True, kw_only=True):
    """The workers of one model. `embedding` None: it has no worker for vectors."""

    chat: Fit
    embedding: Fit | None


def budget_bytes(settings: EngineSettings, machine: Machine, models: int) -> int:
    """What the workers of `models` models may take together."""
    if settings.memory_budget_mib is not None:
        return settings.memory_budget_mib * MIB
    return max(0, memory_budget_bytes(machine) - max(0, models - 1) * PREPARER_BYTES)


def gpu_share(machine: Machine, chat_workers: int) -> Machine:
    """The machine as one of all `chat_workers` may use it, rule (5)."""
    parts = max(1, chat_workers)
    shares = [msgspec.structs.replace(gpu, free_bytes=gpu.free_bytes // parts) for gpu in machine.gpus[:1]]
    return msgspec.structs.replace(machine, gpus=tuple(shares))


def stated_overrides(settings: EngineSettings, size: ModelSize, budget: int) -> Overrides:
    """What `config.yaml` states for a chat worker of this model, rule (1)."""
    context, cells = settings.context_tokens, settings.kv_cells
    if context is not None:
        context = min(context, size.context_length or context, cells or context)
    return Overrides(
        memory_bytes=budget,
        slots=settings.slots,
        context_tokens=context,
        batch_tokens=settings.batch_tokens,
        threads=settings.threads,
        kv_type=settings.kv_type,
        gpu_layers=settings.gpu_layers,
        most_context_tokens=WANTED_CONTEXT_TOKENS,
        kv_cells=cells,
    )


def fit_model(
    settings: EngineSettings, size: ModelSize, machine: Machine, budget: int, *, kept_bytes: int = 0
) -> ModelFit:
    """The workers of one model within `budget` bytes, of which the chat worker has `kept_bytes` for what it loads
    beside the model. Raises OverrideRefused, DoesNotFit and VectorsDoNotFit.
    """
    overrides = stated_overrides(settings, size, max(0, budget - kept_bytes))
    for context in CONTEXTS[:-1] if settings.context_tokens is None else ():
        shorter = msgspec.structs.replace(overrides, most_context_tokens=context)
        try:
            return _fit_pair(settings, size, machine, budget, shorter)
        except VectorsDoNotFit:
            continue  # both have the same context: a shorter one may do for both
    shortest = msgspec.structs.replace(overrides, most_context_tokens=CONTEXTS[-1])
    return _fit_pair(settings, size, machine, budget, shortest)


def _fit_pair(
    settings: EngineSettings, size: ModelSize, machine: Machine, budget: int, overrides: Overrides
) -> ModelFit:
    chat_bytes = overrides.memory_bytes or 0
    alone = fit(size, machine, overrides)
    if not settings.embeddings:
        return ModelFit(chat=alone, embedding=None)
    try:
        embedding = fit_embedding(settings, size, machine, budget, alone.shape.context_tokens)
    except DoesNotFit as fault:
        raise VectorsDoNotFit(fault.nearest) from None
    left_bytes = max(0, chat_bytes - needs_bytes(embedding))
    beside = _beside(size, machine, msgspec.structs.replace(overrides, memory_bytes=left_bytes), alone)
    return ModelFit(chat=beside or alone, embedding=embedding)


def fit_embedding(settings: EngineSettings, size: ModelSize, machine: Machine, budget: int, context_tokens: int) -> Fit:
    """The embedding worker, rule (2). Raises DoesNotFit."""
    batch = settings.batch_tokens or min(512, max(64, context_tokens // 4))
    keeps = any(layer.key_numbers or layer.state_bytes for layer in size.layers)
    if not keeps:  # an encoder reads an input in one step
        batch = min(MOST_BATCH_TOKENS, max(batch, context_tokens))
    overrides = Overrides(
        memory_bytes=budget,
        slots=1,
        context_tokens=context_tokens + batch,
        batch_tokens=batch,
        threads=settings.threads,
        kv_type="f16",
        every_row_results=True,  # llama.cpp makes room for the logits of each, though only vectors are read
    )
    unbounded = msgspec.structs.replace(size, context_length=0)  # a batch stands beside the input
    return fit(unbounded, msgspec.structs.replace(machine, gpus=()), overrides)


def enough_bytes(settings: EngineSettings, size: ModelSize, machine: Machine, nearest: Fit) -> int:
    """The budget with which `fit_model` refuses no more, as far as memory goes: `nearest` is what it refused with."""
    roomy = msgspec.structs.replace(machine, memory_bytes=max(machine.memory_bytes, 2**60))
    enough = needs_bytes(nearest)
    for _ in ("chat", "embedding"):
        try:
            fit_model(settings, size, roomy, enough)
        except DoesNotFit as fault:
            enough = max(enough, needs_bytes(fault.nearest))
    return enough


def needs_bytes(plan: Fit) -> int:
    """What of the machine's own memory a worker takes; a GPU that shares it included."""
    return plan.devices[0].total_bytes + sum(use.total_bytes for use in plan.devices[1:] if use.kind == "apple")


def cap_bytes(settings: EngineSettings, plan: Fit, size: ModelSize) -> int:
    """Where RLIMIT_DATA ends a worker. It is there to stop one that a hostile file drives mad, not to squeeze a good
    one: what is planned, the weights once more (tensors are repacked while the file's own are read), and 1 GiB.
    """
    if settings.memory_mib is not None:
        return settings.memory_mib * MIB
    return needs_bytes(plan) + size.weights_bytes + GIB


def _beside(size: ModelSize, machine: Machine, overrides: Overrides, alone: Fit) -> Fit | None:
    """The chat worker beside its embedding worker, or None where that costs too much: rule (3)."""
    try:
        found = fit(size, machine, overrides)
    except DoesNotFit:
        return None
    keeps_context = found.shape.context_tokens == alone.shape.context_tokens
    keeps_slots = found.shape.slots >= min(SLOTS_BESIDE, alone.shape.slots)
    keeps_type = found.shape.kv_type in ("f16", "q8_0", alone.shape.kv_type)
    keeps_layers = found.gpu_layers == alone.gpu_layers
    return found if keeps_context and keeps_slots and keeps_type and keeps_layers else None
