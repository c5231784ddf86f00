"""The projectors of the store, as the plan wants them."""

from collections.abc import Iterable

from engine.projector_plan import StoredProjector
from engine.store.model_store import ModelStore, StoredModel


def stored_projectors(store: ModelStore, entries: Iterable[StoredModel]) -> tuple[StoredProjector, ...]:
    """Those of the entries' models that see. Raises StoreFault."""
    return tuple(
        StoredProjector(card=store.card(entry), model_file=str(entry.projector), size_bytes=layer.size_bytes)
        for entry in entries
        if (layer := entry.manifest.projector) is not None
    )
