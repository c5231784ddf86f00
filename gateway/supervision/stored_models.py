"""The models of the store, as the plan wants them: each with its sizes, read from its file's header."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from msgspec import Struct

from engine.adapter_plan import StoredAdapter, split_names
from engine.fitting.model_size import ModelSize, SizeFault, model_size_of
from engine.plan import PlanFault, StoredModel, served_names
from engine.projector_plan import StoredProjector, added_bytes
from engine.settings import EngineSettings
from engine.store.model_store import ModelStore
from engine.store.model_store import StoredModel as InStore
from gateway.supervision.stored_adapters import stored_adapters
from gateway.supervision.stored_projectors import stored_projectors


class Served(Struct, frozen=True, kw_only=True):
    """What of the store is served; `settings` ask for just these models."""

    settings: EngineSettings
    models: tuple[StoredModel, ...]
    adapters: tuple[StoredAdapter, ...]
    projectors: tuple[StoredProjector, ...]


def served_models(store: ModelStore, entries: Iterable[InStore], settings: EngineSettings, *, also: str = "") -> Served:
    """What of the entries `settings` asks for, and the model `also` in any case; only the files of those are opened.

    Each model has room for the adapters and the projector that are its own. Raises PlanFault and StoreFault.
    """
    entries = tuple(entries)
    names, adapters = split_names(settings.models, stored_adapters(store, entries))
    if names is not None and also and also not in names:
        names = (*names, also)
    settings = replace(settings, models=names)
    cards = {(card := store.card(entry)).name: (card, entry) for entry in entries if not entry.base}
    served = [cards[name] for name in served_names(settings, cards)]
    projectors = stored_projectors(store, [entry for _, entry in served])
    beside = Counter[str]()
    for adapter in adapters:
        beside[adapter.card.parent] += adapter.size_bytes
    for projector in projectors:
        beside[projector.card.name] += added_bytes(projector)
    models = tuple(
        StoredModel(card=card, model_file=str(entry.file), size=read_size(store, entry), beside_bytes=beside[card.name])
        for card, entry in served
    )
    return Served(settings=settings, models=models, adapters=adapters, projectors=projectors)


def read_size(store: ModelStore, entry: InStore) -> ModelSize:
    """What the model takes. Raises PlanFault with file and remedy, and StoreFault for a damaged header."""
    try:
        return model_size_of(store.header(entry), entry.yarn)
    except SizeFault as fault:
        name = entry.name.display
        raise PlanFault(
            f"model {name}: {entry.file}: {fault}: 'corral models rm {name}', and import a whole model in its place"
        ) from None
