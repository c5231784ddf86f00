"""Reads and writes the JSON of a model store: manifests and config blobs, Ollama's format; pure.

A manifest may come from a foreign store. Only digests of one strict form are taken from it, so that no
path can be smuggled in, and a model that needs what Corral does not load (several adapters or projectors, a
host elsewhere) is named instead of being served as something else. One adapter beside the model's layer makes the
entry that adapter's; which model it is for, see `adapter_entry`.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from engine.store.gguf_header import GgufHeader
from engine.store.model_details import capabilities_of, details_of
from engine.store.yarn import NO_YARN, Yarn, written
from policies.call import ModelDetails

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
MODEL_LAYER = "application/vnd.ollama.image.model"
ADAPTER_LAYER = "application/vnd.ollama.image.adapter"
PROJECTOR_LAYER = "application/vnd.ollama.image.projector"
SYSTEM_LAYER = "application/vnd.ollama.image.system"
# Layers that change what the model is; the others are words about it or defaults for it.
UNSUPPORTED_LAYERS = {f"application/vnd.ollama.image.{kind}": kind for kind in ("draft", "tensor")}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
MAX_JSON_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of a model. `digest` is `sha256:` and 64 hex digits."""

    media_type: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The blobs of one model: its config and its layers."""

    config: Layer
    layers: tuple[Layer, ...]

    @property
    def model(self) -> Layer:
        """The layer that is the GGUF file. Raises ValueError when there is not exactly one."""
        found = [layer for layer in self.layers if layer.media_type == MODEL_LAYER]
        if len(found) != 1:
            raise ValueError(f"has {len(found)} model layers instead of one")
        return found[0]

    @property
    def adapter(self) -> Layer | None:
        """The layer that is a LoRA adapter of the model. Raises ValueError when there are several."""
        found = [layer for layer in self.layers if layer.media_type == ADAPTER_LAYER]
        if len(found) > 1:
            raise ValueError(f"has {len(found)} adapter layers, and one is supported")
        return found[0] if found else None

    @property
    def projector(self) -> Layer | None:
        """The layer that turns pictures into rows for the model. Raises ValueError when there are several."""
        found = [layer for layer in self.layers if layer.media_type == PROJECTOR_LAYER]
        if len(found) > 1:
            raise ValueError(f"has {len(found)} projector layers, and one is supported")
        return found[0] if found else None

    @property
    def system(self) -> Layer | None:
        """The layer with the model's own system message."""
        return next((layer for layer in self.layers if layer.media_type == SYSTEM_LAYER), None)

    @property
    def digests(self) -> frozenset[str]:
        return frozenset(layer.digest for layer in (self.config, *self.layers))


def read_manifest(data: bytes) -> Manifest:
    """The manifest in `data`. Raises ValueError with the end of a sentence that begins with the model."""
    document = _read_object(data)
    layers = document.get("layers")
    if document.get("schemaVersion") != 2 or not isinstance(layers, list):
        raise ValueError("has a manifest of an unknown form")
    return Manifest(_read_layer(document.get("config")), tuple(_read_layer(layer) for layer in layers))


def check_supported(manifest: Manifest, config: dict[str, Any]) -> None:
    """Raise ValueError when serving the model layer alone would not be this model."""
    for layer in manifest.layers:
        if kind := UNSUPPORTED_LAYERS.get(layer.media_type):
            raise ValueError(f"needs a layer of kind {kind}, which is not supported")
    if config.get("remote_host") or config.get("remote_model"):
        raise ValueError("runs on a host elsewhere, which is never used")


def read_config(data: bytes) -> dict[str, Any]:
    """The config blob in `data`. Raises ValueError."""
    return _read_object(data)


def write_manifest(config: Layer, layers: tuple[Layer, ...]) -> bytes:
    """The manifest's exact bytes; their SHA-256 is the digest that model lists show."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _layer_json(config),
        "layers": [_layer_json(layer) for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def write_config(header: GgufHeader, model_digest: str, yarn: Yarn = NO_YARN) -> bytes:
    """The config blob for a GGUF file that is imported as it is, its context stretched by `yarn`."""
    details = details_of(header)
    document = {
        "model_format": details.format,
        "model_family": details.family,
        "model_families": list(details.families),
        "model_type": details.parameter_size,
        "file_type": details.quantization_level,
        "context_length": yarn.tokens(details.context_length),
        **written(yarn),
        "embedding_length": details.embedding_length,
        "capabilities": list(capabilities_of(header)),
        "architecture": "amd64",  # written by Ollama on every machine; kept for its readers
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [model_digest]},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def details_in(config: dict[str, Any]) -> ModelDetails:
    """What a config blob says for model lists; what it leaves out or mistypes stays empty."""
    families = config.get("model_families")
    return ModelDetails(
        format=_text(config, "model_format"),
        family=_text(config, "model_family"),
        families=tuple(str(family) for family in families) if isinstance(families, list) else (),
        parameter_size=_text(config, "model_type"),
        quantization_level=_text(config, "file_type"),
        context_length=_count(config, "context_length"),
        embedding_length=_count(config, "embedding_length"),
    )


def _read_object(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("has a manifest or config that is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("has a manifest or config of an unknown form")
    return document


def _read_layer(entry: Any) -> Layer:
    if isinstance(entry, dict):
        media_type, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
        if isinstance(media_type, str) and isinstance(digest, str) and DIGEST.match(digest) and type(size) is int:
            return Layer(media_type, digest, max(0, size))
    raise ValueError("has a manifest with a broken layer")


def _layer_json(layer: Layer) -> dict[str, Any]:
    return {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size_bytes}


def _text(config: dict[str, Any], key: str) -> str:
    value = config.get(key)
    return value if isinstance(value, str) else ""


def _count(config: dict[str, Any], key: str) -> int:
    value = config.get(key)
    return value if type(value) is int and value >= 0 else 0
