"""Which shapes of a context the planner tries, and in which order: slots, context, batch, KV types. Pure.

The shapes form one ladder. A step up never takes away a slot or a token of context, so more memory, which reaches a
higher step, never costs either:

 (1) the fewest slots, context doubling from 512 up to the wanted 4096 tokens (or what the model states)
 (2) slots one by one, up to 8
 (3) context doubling on, up to what the model states, or to `most_context_tokens` where that is given

f16 is taken where it fits. q8_0 (half the memory; 4 % slower on CPU) is taken only to reach a step of (1) or (2),
q4_0 (28 %; changes what the model writes) only to reach one of (1), and neither without flash attention. What the
operator states stays as it is, and only the rest is climbed; what cannot be carried out is refused with the reason.
"""

from msgspec import Struct

from engine.fitting.machine import Machine
from engine.fitting.model_size import KvType, ModelSize

LEAST_CONTEXT_TOKENS = 512
WANTED_CONTEXT_TOKENS = 4096
WANTED_SLOTS = 8
MOST_SLOTS = 64
BATCH_TOKENS = 512
LEAST_BATCH_TOKENS = 64


class OverrideRefused(ValueError):
    """What the operator states cannot be carried out; the message is one line with setting, reason and remedy."""


class Overrides(Struct, frozen=True, kw_only=True):
    """What `config.yaml` states; None is planned. `gpu_layers` counts the output layer, as llama.cpp does;
    `cpu_expert_layers` is how many of the first layers keep their experts on the CPU. `full_windows` False makes
    sliding windows small and gives up the reuse of prefixes. `most_context_tokens` bounds a planned context.
    `every_row_results`: each row of a step gives a result (vectors), not one a slot. All slots share `kv_cells`, which
    bound the context of each.
    """

    memory_bytes: int | None = None
    slots: int | None = None
    context_tokens: int | None = None
    batch_tokens: int | None = None
    threads: int | None = None
    kv_type: KvType | None = None
    flash_attention: bool | None = None
    gpu_layers: int | None = None
    cpu_expert_layers: int | None = None
    full_windows: bool = True
    most_context_tokens: int | None = None
    every_row_results: bool = False
    kv_cells: int | None = None


class Rung(Struct, frozen=True, kw_only=True):
    """One step of the ladder; `kv_types` in order of preference. `wanted`: no shorter than the wanted context."""

    slots: int
    context_tokens: int
    batch_tokens: int
    kv_types: tuple[KvType, ...]
    wanted: bool


def flash_possible(model: ModelSize, machine: Machine, overrides: Overrides) -> bool:
    """Whether model and every GPU that may be used have flash attention; the CPU always has."""
    gpus = () if overrides.gpu_layers == 0 else machine.gpus
    return model.allows_flash and all(gpu.flash_attention for gpu in gpus)


def check_overrides(model: ModelSize, machine: Machine, overrides: Overrides) -> None:
    """Raises OverrideRefused for the first statement that this model or machine cannot carry out."""
    for setting, value, low, high, reason in _bounds(model, machine, overrides):
        if value is not None and not low <= value <= high:
            allowed = f"{low} to {high}" if low < high else str(low)
            raise OverrideRefused(f"{setting} is {value}, and must be {allowed}: {reason}")
    flash = flash_possible(model, machine, overrides)
    if overrides.flash_attention and not flash:
        raise OverrideRefused("flash_attention is on, but this model or a GPU has none: take it off")
    if overrides.kv_type not in {None, "f16"}:
        if not flash or overrides.flash_attention is False:
            raise OverrideRefused(f"kv_type is {overrides.kv_type}, which needs flash attention: use f16")
        if not model.quantises_kv:
            raise OverrideRefused(f"kv_type is {overrides.kv_type}, but a head is not whole blocks of 32: use f16")


def rungs_of(model: ModelSize, machine: Machine, overrides: Overrides) -> tuple[Rung, ...]:
    """The ladder, lowest first, at least one rung."""
    slots = _slots(overrides)
    own = model.context_length or WANTED_CONTEXT_TOKENS
    own = min(own, overrides.kv_cells or own)
    contexts, wanted = _contexts(min(own, overrides.most_context_tokens or own), overrides.context_tokens)
    flash = flash_possible(model, machine, overrides) and overrides.flash_attention is not False
    steps = [
        *((slots[0], context) for context in contexts if context <= wanted),
        *((more, wanted) for more in slots[1:]),
        *((slots[-1], context) for context in contexts if context > wanted),
    ]
    return tuple(
        Rung(
            slots=count,
            context_tokens=context,
            batch_tokens=overrides.batch_tokens or _batch(count, context),
            kv_types=_kv_types(
                overrides.kv_type, flash and model.quantises_kv, _saving(count, slots[0], context, wanted)
            ),
            wanted=context >= wanted,
        )
        for count, context in steps
    )


def _bounds(
    model: ModelSize, machine: Machine, overrides: Overrides
) -> tuple[tuple[str, int | None, int, int, str], ...]:
    layers = len(model.layers)
    own = model.context_length or 2**31 - 1
    batch_slots = max(1, overrides.slots or 1)
    return (
        ("memory_bytes", overrides.memory_bytes, 0, machine.memory_bytes, "the machine has no more"),
        ("slots", overrides.slots, 1, MOST_SLOTS, "requests that one worker batches"),
        ("context_tokens", overrides.context_tokens, 1, own, "the model states no more"),
        ("batch_tokens", overrides.batch_tokens, batch_slots, 8192, "a step holds a row of every slot"),
        ("threads", overrides.threads, 1, 1024, "a worker computes with at least one"),
        ("gpu_layers", overrides.gpu_layers, 0, layers + 1 if machine.gpus else 0, _gpu_reason(machine)),
        (
            "cpu_expert_layers",
            overrides.cpu_expert_layers,
            0,
            layers if model.has_experts else 0,
            "layers with experts",
        ),
    )


def _gpu_reason(machine: Machine) -> str:
    return "layers of the model and its output layer" if machine.gpus else "the machine has no GPU"


def _slots(overrides: Overrides) -> tuple[int, ...]:
    if overrides.slots is not None:
        return (overrides.slots,)
    return tuple(range(1, min(WANTED_SLOTS, overrides.batch_tokens or WANTED_SLOTS) + 1))


def _contexts(own: int, stated: int | None) -> tuple[list[int], int]:
    """Contexts to try, and the one that is wanted before slots are added."""
    if stated is not None:
        return [stated], stated
    doubled = [
        LEAST_CONTEXT_TOKENS << power for power in range(own.bit_length()) if LEAST_CONTEXT_TOKENS << power < own
    ]
    return [*doubled, own], min(WANTED_CONTEXT_TOKENS, own)


def _batch(slots: int, context_tokens: int) -> int:
    """A short context needs no long step, and its buffers would outweigh it."""
    return max(slots, LEAST_BATCH_TOKENS, min(BATCH_TOKENS, context_tokens // 4))


def _saving(slots: int, fewest: int, context_tokens: int, wanted: int) -> int:
    """How many KV types may be tried: rules at the head."""
    if context_tokens > wanted:
        return 1
    return 3 if slots == fewest else 2


def _kv_types(stated: KvType | None, quantised: bool, count: int) -> tuple[KvType, ...]:
    if stated is not None:
        return (stated,)
    types: tuple[KvType, ...] = ("f16", "q8_0", "q4_0")
    return types[:count] if quantised else types[:1]
