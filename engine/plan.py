"""Which engine processes run, and what each of them may use. Pure: settings, cards and cores in, a `Plan` out.

Rules:

- Every model that `engine.models` names (all of the store when it names none) gets one preparer, one
  chat worker and, with `engine.embeddings`, one embedding worker.
- Threads: all workers may be busy together, so together they get the cores minus one (the gateway's),
  the remainder going to chat workers first; each gets at least one. OpenMP barriers that spin beside
  another busy process cost more than the thread brings, so nothing is oversubscribed on purpose.
- Memory: the cap is there to stop a worker that a hostile model file drives mad, not to squeeze a good
  one, so it is generous: twice the file (tensors repacked for this CPU are a private copy), keys and
  values of all slots at 16 bits, and 1 GiB for the interpreter and compute buffers.
- A socket's path must fit into `sockaddr_un` (108 bytes with the zero), so it stays below 100.
"""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Literal

import msgspec
from msgspec import Struct

from engine.settings import EngineSettings
from policies.call import ModelCard

GIB = 1024**3
MIB = 1024**2
PREPARER_MEMORY_BYTES = GIB  # the vocabulary, the interpreter and one request; the weights are not read
SOCKET_PATH_BYTES = 100
FEWEST_LAYERS, MOST_LAYERS = 32, 160
UNKNOWN_EMBEDDING_LENGTH = 8192

ProcessRole = Literal["preparer", "chat", "embedding"]


class PlanFault(ValueError):
    """The settings cannot be carried out; the message is one line with the remedy."""


class StoredModel(Struct, frozen=True, kw_only=True):
    """A model of the store: its card and where its GGUF blob lies."""

    card: ModelCard
    model_file: str


class ProcessPlan(Struct, frozen=True, kw_only=True):
    """One engine process for its whole life. `socket` is the Unix socket it answers on.

    `slots`, `batch_tokens` and `threads` mean nothing for a preparer; `timeout_s` only bounds one.
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


class Plan(Struct, frozen=True, kw_only=True):
    """All engine processes and the cards of the models they serve (with the context a slot has)."""

    processes: tuple[ProcessPlan, ...] = ()
    cards: tuple[ModelCard, ...] = ()


def make_plan(settings: EngineSettings, stored: Iterable[StoredModel], *, cores: int, run_folder: PurePath) -> Plan:
    """The plan for the models `settings` asks for. Raises PlanFault."""
    models = [_fitted(settings, model) for model in _chosen(settings, tuple(stored))]
    roles: tuple[ProcessRole, ...] = ("chat", "embedding") if settings.embeddings else ("chat",)
    workers = [(model, role) for role in roles for model in models]
    threads = _threads(settings.threads, len(workers), cores)
    preparers = [
        _process(settings, model, "preparer", _socket(run_folder, f"preparer-{number}"), threads=1)
        for number, model in enumerate(models)
    ]
    running = [
        _process(settings, model, role, _socket(run_folder, f"worker-{number}"), threads=threads[number])
        for number, (model, role) in enumerate(workers)
    ]
    return Plan(processes=(*preparers, *running), cards=tuple(model.card for model in models))


def worker_memory_bytes(card: ModelCard, *, slots: int, context_tokens: int) -> int:
    """The memory cap of a worker, see the rules at the head.

    The card does not tell the layers; a transformer has about 12 · width² parameters a layer (Kaplan et
    al. 2020, section 2.1), a 4-bit file about two parameters a byte, and both guesses err upwards.
    """
    width = card.details.embedding_length or UNKNOWN_EMBEDDING_LENGTH
    layers = min(MOST_LAYERS, max(FEWEST_LAYERS, 2 * card.size_bytes // (12 * width * width)))
    kv_bytes = slots * context_tokens * layers * width * 2 * 2  # key and value, two bytes each
    return 2 * card.size_bytes + kv_bytes + GIB


def _chosen(settings: EngineSettings, stored: tuple[StoredModel, ...]) -> tuple[StoredModel, ...]:
    if settings.models is None:
        return stored
    by_name = {model.card.name: model for model in stored}
    names = [name if name in by_name else f"{name}:latest" for name in settings.models]
    for asked, name in zip(settings.models, names, strict=True):
        if name not in by_name:
            held = ", ".join(sorted(by_name)) or "none"
            raise PlanFault(
                f"engine.models names {asked!r}, which the store does not hold (it holds: {held}): "
                "import it with 'corral models import', or take it off the list"
            )
    return tuple(by_name[name] for name in dict.fromkeys(names))


def _fitted(settings: EngineSettings, model: StoredModel) -> StoredModel:
    """The model with slots and context of each on its card; never more context than the model itself has."""
    own_tokens = model.card.details.context_length or settings.context_tokens
    card = msgspec.structs.replace(
        model.card, slots=settings.slots, slot_context_tokens=min(own_tokens, settings.context_tokens)
    )
    return msgspec.structs.replace(model, card=card)


def _threads(fixed: int | None, workers: int, cores: int) -> list[int]:
    if fixed is not None:
        return [fixed] * workers
    share, left_over = divmod(max(0, cores - 1), max(1, workers))
    return [max(1, share + (number < left_over)) for number in range(workers)]


def _process(
    settings: EngineSettings, model: StoredModel, role: ProcessRole, socket: PurePath, *, threads: int
) -> ProcessPlan:
    return ProcessPlan(
        name=socket.stem,
        role=role,
        model=model.card.name,
        model_file=model.model_file,
        socket=str(socket),
        slots=1 if role == "preparer" else settings.slots,
        context_tokens=model.card.slot_context_tokens,
        batch_tokens=settings.batch_tokens,
        threads=threads,
        memory_bytes=PREPARER_MEMORY_BYTES if role == "preparer" else _cap_bytes(settings, model.card),
        timeout_s=settings.prepare_timeout_s,
    )


def _cap_bytes(settings: EngineSettings, card: ModelCard) -> int:
    if settings.memory_mib is not None:
        return settings.memory_mib * MIB
    return worker_memory_bytes(card, slots=settings.slots, context_tokens=card.slot_context_tokens)


def _socket(run_folder: PurePath, name: str) -> PurePath:
    path = run_folder / f"{name}.sock"
    length_bytes = len(bytes(str(path), "utf-8"))
    if length_bytes >= SOCKET_PATH_BYTES:
        raise PlanFault(
            f"the socket path {path} has {length_bytes} bytes, and a Unix socket's must stay below "
            f"{SOCKET_PATH_BYTES}: use a home with a shorter path (--home or CORRAL_HOME)"
        )
    return path
