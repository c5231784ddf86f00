"""The models of the store, as the plan wants them: each with its sizes, read from its file's header."""

from collections.abc import Iterable
from dataclasses import replace

from engine.adapter_plan import StoredAdapter, split_names
from engine.fitting.model_size import ModelSize, SizeFault, model_size_of
from engine.plan import PlanFault, StoredModel, served_names
from engine.projector_plan import added_bytes
from engine.settings import EngineSettings
from engine.store.model_store import ModelStore
from engine.store.model_store import StoredModel as InStore
from gateway.supervision.stored_adapters import stored_adapters
from gateway.supervision.stored_projectors import stored_projectors


def stored_models(
    store: ModelStore, entries: Iterable[InStore], settings: EngineSettings, adapters: Iterable[StoredAdapter] = ()
) -> tuple[StoredModel, ...]:
    """Those of the entries that `settings` serves, with room for those of `adapters` that are theirs; only their files
    are opened. Raises PlanFault and StoreFault.
    """
    entries, adapters = tuple(entries), tuple(adapters)
    cards = {(card := store.card(entry)).name: (card, entry) for entry in entries}
    served = [cards[name] for name in served_names(settings, cards)]
    projectors = {each.card.name: each for each in stored_projectors(store, [entry for _, entry in served])}
    return tuple(
        StoredModel(
            card=card,
            model_file=str(entry.file),
            size=read_size(store, entry),
            beside_bytes=sum(adapter.size_bytes for adapter in adapters if adapter.card.parent == card.name)
            + sum(added_bytes(projector) for projector in (projectors.get(card.name),) if projector),
        )
        for card, entry in served
    )


def served_models(
    store: ModelStore, entries: Iterable[InStore], settings: EngineSettings, *, also: str = ""
) -> tuple[EngineSettings, tuple[StoredModel, ...]]:
    """What of the entries is served, adapters apart, and the model `also` in any case; the settings that ask for just
    these. Raises PlanFault and StoreFault.
    """
    entries = tuple(entries)
    names, adapters = split_names(settings.models, stored_adapters(store, entries))
    if names is not None and also and also not in names:
        names = (*names, also)
    settings = replace(settings, models=names)
    return settings, stored_models(store, [entry for entry in entries if not entry.base], settings, adapters)


def read_size(store: ModelStore, entry: InStore) -> ModelSize:
    """What the model takes. Raises PlanFault with file and remedy, and StoreFault for a damaged header."""
    try:
        return model_size_of(store.header(entry))
    except SizeFault as fault:
        name = entry.name.display
        raise PlanFault(
            f"model {name}: {entry.file}: {fault}: 'corral models rm {name}', and import a whole model in its place"
        ) from None
