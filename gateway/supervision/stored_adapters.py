"""The adapters of the store, as the plan wants them."""

from collections.abc import Iterable

from engine.adapter_plan import StoredAdapter
from engine.store.model_store import ModelStore, StoredModel


def stored_adapters(store: ModelStore, entries: Iterable[StoredModel]) -> tuple[StoredAdapter, ...]:
    """Those of the entries that are adapters. Raises StoreFault."""
    return tuple(
        StoredAdapter(card=store.card(entry), file=str(entry.adapter), size_bytes=layer.size_bytes)
        for entry in entries
        if (layer := entry.manifest.adapter) is not None
    )
