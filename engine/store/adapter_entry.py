"""How an adapter stands in the store: an entry of its own, as Ollama makes one from FROM and ADAPTER; pure.

Its manifest has the base model's layer and the adapter's, so the base's file lies in the store once. Which model it
is for, by rules, since Ollama's format does not say it by name:

 (1) only an entry without an adapter whose model layer is the same file: its weights are what the adapter changes
 (2) of several such entries the one that `base_name` of the adapter's config names, else one whose context is stretched
     as the adapter's own config says (not at all, in Ollama's), else the first by name
 (3) none: the entry cannot be served, since there is no worker that it could run on
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.store.manifest import ADAPTER_LAYER, Layer, Manifest
from engine.store.model_name import ModelName
from engine.store.yarn import NO_YARN, Yarn, yarn_in


@dataclass(frozen=True, slots=True)
class Entry:
    """A name of the store, its manifest, and what its config says of a stretched context."""

    name: ModelName
    manifest: Manifest
    yarn: Yarn = NO_YARN


def base_of(manifest: Manifest, config: dict[str, Any], entries: Iterable[Entry]) -> str:
    """The name of the model that this adapter is for. Raises ValueError with the end of a sentence."""
    digest, said = manifest.model.digest, str(config.get("base_name", "")).lower()
    fitting = [entry for entry in entries if _is_plain(entry.manifest, digest)]
    if not fitting:
        raise ValueError("is an adapter whose base model is not in this store under a name of its own")
    own = yarn_in(config)
    return min(fitting, key=lambda entry: (entry.name.key != said, entry.yarn != own, entry.name.key)).name.display


def adapter_layers(base: Manifest, digest: str, size_bytes: int) -> tuple[Layer, ...]:
    """The layers of an adapter with this file for the model of `base`, in Ollama's order."""
    return (base.model, Layer(ADAPTER_LAYER, digest, size_bytes))


def write_adapter_config(base_config: dict[str, Any], base_name: str, layers: tuple[Layer, ...]) -> bytes:
    """The config blob: what the base's says, whose it is, and both files."""
    rootfs = {"type": "layers", "diff_ids": [layer.digest for layer in layers]}
    told = {**base_config, "base_name": base_name, "rootfs": rootfs}
    return json.dumps(told, separators=(",", ":")).encode()


def _is_plain(manifest: Manifest, digest: str) -> bool:
    try:
        return manifest.adapter is None and manifest.model.digest == digest
    except ValueError:  # a broken neighbour is no base
        return False
