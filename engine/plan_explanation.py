"""Why one model's workers run as they do, line by line, and what more memory would change. Pure."""

import msgspec

from engine.fitting.explanation import explain, size_text
from engine.fitting.machine import Machine, memory_budget_bytes
from engine.fitting.placement import Fit
from engine.fitting.remedies import with_more_memory
from engine.plan import Plan, StoredModel
from engine.settings import EngineSettings
from engine.worker_fit import ModelFit, budget_bytes, fit_model, gpu_share, needs_bytes, stated_overrides


def explain_model(model: StoredModel, settings: EngineSettings, machine: Machine, plan: Plan) -> tuple[str, ...]:
    """The lines of `model`, one of those that `plan` holds."""
    name, size, kept = model.card.name, model.size, model.beside_bytes
    models = len({process.model for process in plan.processes})
    chat_workers = sum(process.role == "chat" for process in plan.processes)
    shared, budget = gpu_share(machine, chat_workers), plan.memory_budget_bytes
    found = fit_model(settings, size, shared, budget, kept_bytes=kept)
    overrides = stated_overrides(settings, size, budget - kept)
    threads = next(process.threads for process in plan.processes if (process.model, process.role) == (name, "chat"))
    return (
        _budget_line(settings, machine, models),
        *(line.text for line in explain(_with_threads(found, threads), size, shared, overrides)),
        *_beside_lines(found, kept),
        *_embedding_lines(found, budget - kept),
        with_more_memory(found.chat, size, shared, overrides),
    )


def _with_threads(found: ModelFit, threads: int) -> Fit:
    return msgspec.structs.replace(found.chat, threads=threads)


def _budget_line(settings: EngineSettings, machine: Machine, models: int) -> str:
    budget = size_text(budget_bytes(settings, machine, models))
    if settings.memory_budget_mib is not None:
        return f"memory budget {budget} for all workers together (config.yaml)"
    free = machine.memory_bytes if machine.available_bytes is None else machine.available_bytes
    kept = min(machine.memory_bytes, free) - memory_budget_bytes(machine)
    others = f" and {models - 1} more preparers" if models > 1 else ""
    return (
        f"memory budget {budget} for all workers together (planned: {size_text(free)} of "
        f"{size_text(machine.memory_bytes)} are free, less {size_text(kept)} for gateway, preparer and system{others})"
    )


def _beside_lines(found: ModelFit, kept: int) -> tuple[str, ...]:
    """What the chat worker holds besides its plan: it is counted with both."""
    if not kept:
        return ()
    both = size_text(needs_bytes(found.chat) + kept)
    return (f"adapters and projector {size_text(kept)} besides, {both} with them",)


def _embedding_lines(found: ModelFit, budget: int) -> tuple[str, ...]:
    if found.embedding is None:
        return ()
    needs = needs_bytes(found.embedding)
    together = needs + needs_bytes(found.chat) <= budget
    way = "fits beside the chat worker" if together else "takes turns with the chat worker: they do not fit together"
    return (f"the worker for embeddings needs {size_text(needs)} and {way}",)
