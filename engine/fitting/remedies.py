"""What would make a model fit that was refused, and what more memory would change in one that fits. Pure.

Every remedy is tried before it is told: the planner runs again with one statement of `config.yaml` taken back, and
when none alone is enough, with all of them. What it then chooses is the value that is named.
"""

import msgspec

from engine.fitting.explanation import size_text
from engine.fitting.ladder import Overrides
from engine.fitting.machine import MIB, Machine
from engine.fitting.model_size import ModelSize
from engine.fitting.placement import DoesNotFit, Fit, fit

LESSENED = ("slots", "context_tokens", "kv_type", "batch_tokens", "gpu_layers")
GROWTH = (1, 2, 4, 8, 16, 32)  # quarters of a worker's memory that are tried in addition


def remedies(
    fault: DoesNotFit, model: ModelSize, machine: Machine, overrides: Overrides, *, budget_bytes: int
) -> tuple[str, ...]:
    """What to change, nearest at hand first; never empty. `budget_bytes` is the budget that would be enough."""
    stated = [name for name in LESSENED if getattr(overrides, name) is not None]
    single = [text for name in stated if (text := _retry(model, machine, overrides, [name]))]
    every = _retry(model, machine, overrides, stated) if len(stated) > 1 and not single else ""
    changes = single or ([every] if every else [])
    return (*changes, *_budget_remedy(fault.nearest, machine, budget_bytes), "take a model that is quantised further")


def with_more_memory(plan: Fit, model: ModelSize, machine: Machine, overrides: Overrides) -> str:
    """One line: the first addition to the worker's memory that was tried and changes the plan, and into what."""
    limit = plan.devices[0].limit_bytes
    for quarters in GROWTH:
        more = limit * quarters // 4
        roomy = msgspec.structs.replace(machine, memory_bytes=max(machine.memory_bytes, limit + more))
        found = fit(model, roomy, msgspec.structs.replace(overrides, memory_bytes=limit + more))
        if changes := _changes(plan, found):
            return f"with {size_text(more)} more memory: {changes}"
    return "more memory would change nothing"


def _retry(model: ModelSize, machine: Machine, overrides: Overrides, names: list[str]) -> str:
    """The settings that fit when those in `names` are left to the planner; "" when none do."""
    try:
        found = fit(model, machine, msgspec.structs.replace(overrides, **dict.fromkeys(names)))
    except DoesNotFit:
        return ""
    values = {
        "slots": found.shape.slots,
        "context_tokens": found.shape.context_tokens,
        "kv_type": found.shape.kv_type,
        "batch_tokens": found.shape.batch_tokens,
        "gpu_layers": found.gpu_layers,
    }
    changed = [name for name in names if values[name] != getattr(overrides, name)]
    return "set " + " and ".join(f"engine.{name}: {values[name]}" for name in changed)


def _budget_remedy(nearest: Fit, machine: Machine, budget_bytes: int) -> tuple[str, ...]:
    """The budget that would be enough, where the machine has that much."""
    host = nearest.devices[0]
    if host.total_bytes <= host.limit_bytes:
        return ()  # what is missing is missing on a GPU
    if budget_bytes > machine.memory_bytes:
        return ("run it on a machine with more memory",)
    return (f"set engine.memory_budget_mib: {-(-budget_bytes // MIB)}",)


def _changes(plan: Fit, larger: Fit) -> str:
    pairs = (
        ("slots", plan.shape.slots, larger.shape.slots),
        ("tokens of context a slot", plan.shape.context_tokens, larger.shape.context_tokens),
        ("keys and values in", plan.shape.kv_type, larger.shape.kv_type),
        ("layers on the GPU", plan.gpu_layers, larger.gpu_layers),
    )
    return ", ".join(f"{name} {then} instead of {now}" for name, now, then in pairs if now != then)
