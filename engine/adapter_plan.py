"""Which adapters run on which worker. Pure: a plan of models and the store's adapters in, the plan with both out.

Rules:

- An adapter runs on the chat worker of its base model, in the memory that has the model already; it gets no process,
  and no worker for vectors has one.
- All adapters of a model that is served are served, unless `engine.models` names some models: then those it names. One
  that is named without its base model is a fault: the list is what the operator wants to run.
- It is counted with the size of its file, in what the worker needs and twice in its cap. What does not fit the memory
  budget is a fault, with the arithmetic.
- Its card is the base model's in all that the worker decides: slots and context.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from engine.plan import Plan, PlanFault, ProcessPlan, grown
from policies.call import ModelCard


class StoredAdapter(Struct, frozen=True, kw_only=True):
    """An adapter of the store: its card, which names its base model, and its own file."""

    card: ModelCard
    file: str
    size_bytes: int

    @property
    def model_file(self) -> str:
        """The file whose digest is verified before anything is loaded."""
        return self.file


def split_names(
    asked: Sequence[str] | None, adapters: Iterable[StoredAdapter]
) -> tuple[tuple[str, ...] | None, tuple[StoredAdapter, ...]]:
    """What `engine.models` asks for, as names of models and as adapters; None asks for all."""
    held = {adapter.card.name: adapter for adapter in adapters}
    if asked is None:
        return None, tuple(held.values())
    named = {name: name if name in held else f"{name}:latest" for name in asked}
    chosen = dict.fromkeys(full for full in named.values() if full in held)
    return tuple(name for name in asked if named[name] not in held), tuple(held[name] for name in chosen)


def with_adapters(plan: Plan, adapters: Sequence[StoredAdapter]) -> Plan:
    """`plan` with the adapters on their base models' workers. Raises PlanFault."""
    cards = {card.name: card for card in plan.cards}
    for adapter in adapters:
        if adapter.card.parent not in cards:
            raise PlanFault(
                f"engine.models names {adapter.card.name!r}, an adapter of {adapter.card.parent!r}, but not that "
                "model: add it to the list, or take the adapter off"
            )
    processes = tuple(_with_own(process, adapters, plan.memory_budget_bytes) for process in plan.processes)
    added = tuple(_fitted(adapter.card, cards[adapter.card.parent]) for adapter in adapters)
    return msgspec.structs.replace(plan, processes=processes, cards=(*plan.cards, *added))


def _with_own(process: ProcessPlan, adapters: Sequence[StoredAdapter], budget_bytes: int) -> ProcessPlan:
    own = [adapter for adapter in adapters if adapter.card.parent == process.model]
    if process.role != "chat" or not own:
        return process
    remedy = "remove adapters with 'corral models rm', or name fewer in engine.models"
    size_bytes = sum(adapter.size_bytes for adapter in own)
    with_room = grown(process, size_bytes, budget_bytes, beside=f"its {len(own)} adapters", remedy=remedy)
    return msgspec.structs.replace(with_room, adapters=tuple((adapter.card.name, adapter.file) for adapter in own))


def _fitted(card: ModelCard, base: ModelCard) -> ModelCard:
    return msgspec.structs.replace(card, slots=base.slots, slot_context_tokens=base.slot_context_tokens)
