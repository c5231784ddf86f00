"""Which engine processes run, and what each of them may use. Pure: settings, models and machine in, a `Plan` out.

Rules:

- Every model that `engine.models` names (all of the store when it names none) gets one preparer, one
  chat worker (`engine.replicas` of them, where it names the model) and, with `engine.embeddings`, one embedding
  worker.
- Slots, context, KV type and memory of each worker: `engine.worker_fit`. A model that does not fit the memory budget
  alone is a fault, with the arithmetic; models that fit only one at a time are none, `needs_bytes` and
  `memory_budget_bytes` say so to whoever loads them.
- Threads: workers that fit into the budget together may be busy together, so together they get the cores minus one
  (the gateway's), the remainder going to chat workers first; each gets at least one. OpenMP barriers that spin beside
  another busy process cost more than the thread brings, so nothing is oversubscribed on purpose.
- A socket's path must fit into `sockaddr_un` (108 bytes with the zero), so it stays below 100.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Literal

import msgspec
from msgspec import Struct

from engine.fitting.explanation import refusal_text, size_text
from engine.fitting.ladder import OverrideRefused
from engine.fitting.machine import GIB, MIB, Machine, share_threads
from engine.fitting.model_size import ModelSize
from engine.fitting.placement import DoesNotFit, Fit
from engine.fitting.remedies import remedies
from engine.idle_plan import WorkerUse, idle_bytes
from engine.settings import EngineSettings, Sandbox
from engine.store.yarn import NO_YARN, Yarn
from engine.weight_loading import maps_weights
from engine.worker_fit import (
    ModelFit,
    VectorsDoNotFit,
    budget_bytes,
    cap_bytes,
    enough_bytes,
    fit_model,
    gpu_share,
    needs_bytes,
    stated_overrides,
)
from policies.call import ModelCard

PREPARER_MEMORY_BYTES = GIB  # the vocabulary, the interpreter and one request; the weights are not read
SOCKET_PATH_BYTES = 100

ProcessRole = Literal["preparer", "chat", "embedding"]


class PlanFault(ValueError):
    """The settings cannot be carried out; the message is a line with the remedy for each fault."""


class StoredModel(Struct, frozen=True, kw_only=True):
    """A model of the store: its card, where its GGUF blob lies, and what of memory it takes.

    `beside_bytes` is what its chat worker needs besides: for adapters and a projector.
    """

    card: ModelCard
    model_file: str
    size: ModelSize
    beside_bytes: int = 0


class ProcessPlan(Struct, frozen=True, kw_only=True):
    """One engine process for its whole life. `socket` is the Unix socket it answers on.

    `slots`, `batch_tokens` and `threads` mean nothing for a preparer; `timeout_s` only bounds one. `memory_bytes` is
    the cap on private memory, `needs_bytes` what the planner counts the process with in `Plan.memory_budget_bytes`.
    `kv_cells` are tokens that the KV memory of all slots holds (0: slots x context); `gpu_layers` as llama.cpp counts,
    and the experts of the first `cpu_expert_layers` stay on the CPU.
    `adapters` are the LoRA adapters that a chat worker loads beside its model, each a name and a file.
    `projector` is the file that lets the model see, "" where there is none. `mapped_weights`: whether a worker maps the
    file or reads it, see `engine.weight_loading`. `idle_bytes` of prefixes that nobody runs on may lie beside the KV
    memory; they are part of `needs_bytes`. `yarn` stretches the model's context, see `engine.store.yarn`.
    """

    name: str
    role: ProcessRole
    model: str
    model_file: str
    socket: str
    slots: int
    context_tokens: int
    batch_tokens: int
    threads: int
    memory_bytes: int
    timeout_s: float
    kv_type: str = "f16"
    flash_attention: bool | None = None
    kv_cells: int = 0
    needs_bytes: int = 0
    gpu_layers: int = 0
    adapters: tuple[tuple[str, str], ...] = ()
    sandbox: Sandbox = "required"
    projector: str = ""
    cpu_expert_layers: int = 0
    mapped_weights: bool = True
    idle_bytes: int = 0
    yarn: Yarn = NO_YARN


class Plan(Struct, frozen=True, kw_only=True):
    """All engine processes and the cards of the models they serve (with the context a slot has).

    `memory_budget_bytes` bounds the `needs_bytes` of all processes that live at the same time; 0 bounds nothing.
    """

    processes: tuple[ProcessPlan, ...] = ()
    cards: tuple[ModelCard, ...] = ()
    memory_budget_bytes: int = 0


class _Worker(Struct, frozen=True, kw_only=True):
    """A worker to be: its model with slots and context on the card, its role, its fit."""

    model: StoredModel
    role: Literal["chat", "embedding"]
    fit: Fit
    slots: int


def grown(process: ProcessPlan, added_bytes: int, budget_bytes: int, *, beside: str, remedy: str) -> ProcessPlan:
    """`process` with so much more beside its model, twice that in its cap (a part may be held as a copy, too).

    `beside` names what it is, `remedy` what helps where both are above a budget that bounds. Raises PlanFault.
    """
    needs_bytes = process.needs_bytes + added_bytes
    if budget_bytes and needs_bytes > budget_bytes:
        raise PlanFault(
            f"{process.model} needs {process.needs_bytes // MIB} MiB and {beside} {-(-added_bytes // MIB)} MiB, "
            f"together more than the memory budget of {budget_bytes // MIB} MiB: {remedy}"
        )
    memory_bytes = process.memory_bytes + 2 * added_bytes
    return msgspec.structs.replace(process, needs_bytes=needs_bytes, memory_bytes=memory_bytes)


def make_plan(
    settings: EngineSettings, stored: Iterable[StoredModel], *, machine: Machine, run_folder: PurePath
) -> Plan:
    """The plan for the models `settings` asks for. Raises PlanFault."""
    by_name = {model.card.name: model for model in stored}
    chosen = [by_name[name] for name in served_names(settings, by_name)]
    budget = budget_bytes(settings, machine, len(chosen))
    _check_budget(settings, machine)
    fits = fit_models(settings, chosen, machine)
    models = [_fitted(model, found) for model, found in zip(chosen, fits, strict=True)]
    workers = _workers(models, fits, _replicas(settings, models))
    threads = _threads(settings.threads, workers, machine.cores, budget)
    holders = Counter(worker.model.card.name for worker in workers)
    preparers = [
        _preparer(settings, model, _socket(run_folder, f"preparer-{number}")) for number, model in enumerate(models)
    ]
    running = [
        _worker(
            settings,
            worker,
            _socket(run_folder, f"worker-{number}"),
            threads=threads[number],
            processes=holders[worker.model.card.name],
        )
        for number, worker in enumerate(workers)
    ]
    running = _with_idle_memory(settings, running, workers, budget)
    cards = tuple(model.card for model in models)
    return Plan(processes=(*preparers, *running), cards=cards, memory_budget_bytes=budget if cards else 0)


def served_names(settings: EngineSettings, held: Iterable[str]) -> tuple[str, ...]:
    """Of the models `held`, those that `engine.models` asks for, each once. Raises PlanFault."""
    held = tuple(held)
    if settings.models is None:
        return held
    names = [name if name in held else f"{name}:latest" for name in settings.models]
    for asked, name in zip(settings.models, names, strict=True):
        if name not in held:
            listed = ", ".join(sorted(held)) or "none"
            raise PlanFault(
                f"engine.models names {asked!r}, which the store does not hold (it holds: {listed}): "
                "import it with 'corral models import', or take it off the list"
            )
    return tuple(dict.fromkeys(names))


def fit_models(settings: EngineSettings, models: Sequence[StoredModel], machine: Machine) -> list[ModelFit]:
    """The fit of each model on its own. Raises PlanFault with one line for each that has none."""
    budget = budget_bytes(settings, machine, len(models))
    shared = gpu_share(machine, len(models) + sum(settings.replicas.values()) - len(settings.replicas))
    fits: list[ModelFit] = []
    faults: list[str] = []
    for model in models:
        name = model.card.name
        try:
            fits.append(fit_model(settings, model.size, shared, budget, kept_bytes=model.beside_bytes))
        except OverrideRefused as fault:
            faults.append(f"engine.{fault} (model {name})")
        except VectorsDoNotFit as fault:
            text = refusal_text(
                fault, model.size, ("set engine.embeddings: false", "set a shorter engine.context_tokens")
            )
            faults.append(f"model {name}: its worker for embeddings does not fit: {text}")
        except DoesNotFit as fault:
            faults.append(f"model {name} does not fit{_beside_text(model)}: {_refusal(settings, model, shared, fault)}")
    if faults:
        raise PlanFault("\n".join(faults))
    return fits


def _refusal(settings: EngineSettings, model: StoredModel, machine: Machine, fault: DoesNotFit) -> str:
    enough = enough_bytes(settings, model.size, machine, fault.nearest) + model.beside_bytes
    stated = stated_overrides(settings, model.size, fault.nearest.devices[0].limit_bytes)
    return refusal_text(fault, model.size, remedies(fault, model.size, machine, stated, budget_bytes=enough))


def _beside_text(model: StoredModel) -> str:
    if not model.beside_bytes:
        return ""
    return f" beside {size_text(model.beside_bytes)} for its adapters and projector"


def _check_budget(settings: EngineSettings, machine: Machine) -> None:
    stated, held = settings.memory_budget_mib, machine.memory_bytes // MIB
    if stated is not None and stated > held:
        raise PlanFault(
            f"engine.memory_budget_mib is {stated}, and this machine has {held} MiB of memory: set less, or leave it "
            "out to have it planned"
        )


def _fitted(model: StoredModel, found: ModelFit) -> StoredModel:
    """The model with slots and context of each on its card."""
    shape = found.chat.shape
    card = msgspec.structs.replace(model.card, slots=shape.slots, slot_context_tokens=shape.context_tokens)
    return msgspec.structs.replace(model, card=card)


def _replicas(settings: EngineSettings, models: Sequence[StoredModel]) -> dict[str, int]:
    """How many chat workers the models have that `engine.replicas` names. Raises PlanFault."""
    served = [model.card.name for model in models]
    found = {}
    for asked, count in settings.replicas.items():
        name = asked if asked in served else f"{asked}:latest"
        if name not in served:
            raise PlanFault(
                f"engine.replicas names {asked!r}, which is not served (these are: {', '.join(served) or 'none'}): "
                "correct the name, or take it off the list"
            )
        found[name] = count
    return found


def _workers(models: Sequence[StoredModel], fits: Sequence[ModelFit], replicas: dict[str, int]) -> list[_Worker]:
    """Chat workers first, in the order of the models."""
    pairs = list(zip(models, fits, strict=True))
    chat = [
        _Worker(model=model, role="chat", fit=found.chat, slots=found.chat.shape.slots)
        for model, found in pairs
        for _ in range(replicas.get(model.card.name, 1))
    ]
    vectors = [
        _Worker(model=model, role="embedding", fit=found.embedding, slots=found.chat.shape.slots)
        for model, found in pairs
        if found.embedding is not None
    ]
    return chat + vectors


def _threads(fixed: int | None, workers: Sequence[_Worker], cores: int, budget: int) -> tuple[int, ...]:
    """Threads of each worker. Of workers that never fit together, as many share the cores as can."""
    if fixed is not None or not workers:
        return (fixed or 1,) * len(workers)
    together, used = 0, 0
    for need in sorted(needs_bytes(worker.fit) for worker in workers):
        used += need
        together += used <= budget
    if together == len(workers):
        return share_threads(cores, together)
    return (share_threads(cores, together)[-1],) * len(workers)


def _preparer(settings: EngineSettings, model: StoredModel, socket: PurePath) -> ProcessPlan:
    """Its memory is not in the budget: the machine's budget leaves room for it."""
    return ProcessPlan(
        name=socket.stem,
        role="preparer",
        model=model.card.name,
        model_file=model.model_file,
        socket=str(socket),
        slots=1,
        context_tokens=model.card.slot_context_tokens,
        batch_tokens=1,
        threads=1,
        memory_bytes=PREPARER_MEMORY_BYTES,
        timeout_s=settings.prepare_timeout_s,
        sandbox=settings.sandbox,
        yarn=model.size.yarn,
    )


def _worker(
    settings: EngineSettings, worker: _Worker, socket: PurePath, *, threads: int, processes: int
) -> ProcessPlan:
    """The plan of one of `processes` with this model."""
    shape, chat = worker.fit.shape, worker.role == "chat"
    return ProcessPlan(
        name=socket.stem,
        role=worker.role,
        model=worker.model.card.name,
        model_file=worker.model.model_file,
        socket=str(socket),
        slots=worker.slots,
        context_tokens=worker.model.card.slot_context_tokens,
        batch_tokens=shape.batch_tokens,
        threads=threads,
        memory_bytes=cap_bytes(settings, worker.fit, worker.model.size),
        timeout_s=settings.prepare_timeout_s,
        kv_type=shape.kv_type,
        flash_attention=shape.flash_attention,
        kv_cells=shape.cells if chat else 0,
        needs_bytes=needs_bytes(worker.fit),
        gpu_layers=worker.fit.gpu_layers,
        cpu_expert_layers=worker.fit.cpu_expert_layers,
        sandbox=settings.sandbox,
        yarn=worker.model.size.yarn,
        mapped_weights=maps_weights(
            weights_bytes=worker.model.size.weights_bytes,
            repacked_bytes=worker.model.size.repacked_bytes,
            processes=processes,
            gpu_layers=worker.fit.gpu_layers,
        ),
    )


def _with_idle_memory(
    settings: EngineSettings, processes: Sequence[ProcessPlan], workers: Sequence[_Worker], budget: int
) -> list[ProcessPlan]:
    """The processes with what of idle prefixes each may keep: `engine.idle_plan`. Raises PlanFault."""
    uses = [_worker_use(worker) for worker in workers]
    shares = idle_bytes(settings.idle_memory_mib, uses, budget)
    for process, use, share in zip(processes, uses, shares, strict=True):
        if share and use.needs_bytes + share > budget:
            raise PlanFault(
                f"{process.model} needs {use.needs_bytes // MIB} MiB and engine.idle_memory_mib {-(-share // MIB)} "
                f"besides, together more than the memory budget of {budget // MIB} MiB: set it lower, or leave it out"
            )
    return [
        msgspec.structs.replace(
            process,
            idle_bytes=share,
            needs_bytes=process.needs_bytes + share,
            memory_bytes=process.memory_bytes + (0 if settings.memory_mib else share),
        )
        for process, share in zip(processes, shares, strict=True)
    ]


def _worker_use(worker: _Worker) -> WorkerUse:
    is_chat, cpu = worker.role == "chat", worker.fit.devices[0]
    return WorkerUse(
        needs_bytes=needs_bytes(worker.fit) + (worker.model.beside_bytes if is_chat else 0),
        kv_bytes=cpu.kv_bytes,
        may_keep=is_chat and not worker.fit.gpu_layers,
    )


def _socket(run_folder: PurePath, name: str) -> PurePath:
    path = run_folder / f"{name}.sock"
    length_bytes = len(bytes(str(path), "utf-8"))
    if length_bytes >= SOCKET_PATH_BYTES:
        raise PlanFault(
            f"the socket path {path} has {length_bytes} bytes, and a Unix socket's must stay below "
            f"{SOCKET_PATH_BYTES}: use a home with a shorter path (--home or CORRAL_HOME)"
        )
    return path
