"""The models on this machine: Ollama's layout, so that its store can be read and ours by it.

    blobs/sha256-HEX                                     the content, named by its hash
    manifests/registry.ollama.ai/NAMESPACE/MODEL/TAG     JSON naming the blobs of one model

A blob is written beside its place, checked, made durable and renamed; the manifest comes last, so that a
model is either there or not. Removing goes the other way round. `flock` on the store keeps two commands
from removing what the other just wrote. Reading needs no lock and no right to write.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import structs

from engine.store.adapter_check import read_adapter
from engine.store.adapter_entry import Entry, adapter_layers, base_of, write_adapter_config
from engine.store.blob import Written, hash_file, write_blob, write_bytes
from engine.store.gguf_check import read_model
from engine.store.gguf_header import GgufFault, GgufHeader, read_header
from engine.store.manifest import (
    CONFIG_TYPE,
    MAX_JSON_BYTES,
    MODEL_LAYER,
    PROJECTOR_LAYER,
    SYSTEM_LAYER,
    Layer,
    Manifest,
    check_supported,
    details_in,
    read_config,
    read_manifest,
    write_config,
    write_manifest,
)
from engine.store.model_details import capabilities_of, details_of
from engine.store.model_name import DEFAULT_HOST, ModelName, parse_model_name
from engine.store.projector_check import read_projector
from engine.store.store_fault import StoreFault, disk_fault
from engine.store.yarn import NO_YARN, Yarn, checked, yarn_in
from policies.call import ModelCard, ModelDetails

Progress = Callable[[int, int], None]
BeforeEntry = Callable[[str, str], None]
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One model of a store. `digest` is the SHA-256 of its manifest file, 64 hex digits; `system` its own
    system message. An adapter has a file of its own, `adapter`, beside the `file` of its `base`, which is a name.
    A model that sees has a `projector`. `yarn`: see `engine.store.yarn`."""

    name: ModelName
    digest: str
    modified_at: float
    manifest: Manifest
    config: dict[str, Any]
    file: Path
    system: str = ""
    adapter: Path | None = None
    base: str = ""
    projector: Path | None = None
    yarn: Yarn = NO_YARN

    @property
    def size_bytes(self) -> int:
        return sum(layer.size_bytes for layer in self.manifest.layers)


@dataclass(frozen=True, slots=True)
class Additions:
    """What a name adds to its file: its own `system` message, as SYSTEM of a Modelfile, the `projector` that lets the
    model see, checked against it, and what its context is stretched by (`engine.store.yarn`).
    """

    system: str = ""
    projector: Path | None = None
    yarn: Yarn | None = None


NOTHING = Additions()


class ModelStore:
    """The store at `path`; nothing is made on disk before the first import."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blobs = path / "blobs"
        self._manifests = path / "manifests" / DEFAULT_HOST

    # ---- reading

    def scan(self) -> tuple[tuple[StoredModel, ...], tuple[StoreFault, ...]]:
        """Every model that can be served, by name, and a fault for every other entry."""
        models, faults = [], []
        for path in self._manifest_files():
            try:
                models.append(self._read(path))
            except StoreFault as fault:
                faults.append(fault)
        return tuple(sorted(models, key=lambda model: model.name.key)), tuple(faults)

    def find(self, name: str) -> StoredModel:
        """The model of that name, compared without case. Raises StoreFault."""
        return self._read(self._manifest_of(_parse(name)))

    def card(self, model: StoredModel) -> ModelCard:
        """The card of `model`. Its file is read only where the config leaves something out."""
        details, capabilities = details_in(model.config), _text_list(model.config.get("capabilities"))
        if not (details.context_length and details.embedding_length and capabilities):
            header = self.header(model)
            details, capabilities = _stretched(details_of(header), model.yarn), capabilities_of(header)
        if model.projector and "vision" not in capabilities:
            capabilities = (*capabilities, "vision")
        return ModelCard(
            name=model.name.display,
            digest=model.digest,
            size_bytes=model.size_bytes,
            modified_at=model.modified_at,
            details=details,
            capabilities=tuple(each for each in capabilities if not (model.base and each == "embedding")),
            system=model.system,
            parent=model.base,
        )

    def header(self, model: StoredModel) -> GgufHeader:
        """The header of the model's file. Raises StoreFault."""
        try:
            return read_header(model.file)
        except (GgufFault, OSError) as fault:
            raise _damaged(model, _words(fault)) from None

    def adapter_header(self, model: StoredModel) -> GgufHeader:
        """The header of an adapter's own file, checked against its base. Raises StoreFault; `model` has an adapter."""
        base = self.header(model)
        try:
            return read_adapter(model.adapter or model.file, base)
        except (GgufFault, OSError) as fault:
            raise _damaged(model, _words(fault)) from None

    def verify(self, name: str) -> None:
        """Hash the model's file again, an adapter's own. Raises StoreFault when it is not what was imported."""
        model = self.find(name)
        try:
            self._verify(model, model.adapter or model.file, model.manifest.adapter or model.manifest.model)
            if model.projector and model.manifest.projector:
                self._verify(model, model.projector, model.manifest.projector)
        except OSError as fault:
            raise _damaged(model, _words(fault)) from None

    # ---- changing

    def import_gguf(
        self,
        path: Path,
        name: str,
        progress: Progress | None = None,
        *,
        adds: Additions = NOTHING,
        before_entry: BeforeEntry = lambda _name, _digest: None,
    ) -> StoredModel:
        """Copy the GGUF file at `path` into the store as `name`; `progress` gets bytes done and in all.

        The same file under the same name again changes what the name `adds` to it alone. Raises StoreFault and leaves
        nothing behind when the file is no model, the name is taken by another model, or the disk is full.
        `before_entry` is told name and file digest when the file is in place and has no name yet; what it
        raises goes on to the caller, and nothing is left behind.
        """
        parsed = _parse(name)
        read = partial(_read_stretchable, asked=adds.yarn)
        _check_source(path, read)
        with self._locked():
            written = write_blob(path, self._blobs, progress or _no_progress, read)
            yarn = checked(adds.yarn, written.header) if adds.yarn is not None else NO_YARN
            sight = self._add_projector(adds.projector, written) if adds.projector else ()
            layers = (*sight, Layer(MODEL_LAYER, written.digest, written.size_bytes))
            config = write_config(written.header, written.digest, yarn)
            return self._enter(parsed, layers, config, adds.system.encode(), before_entry)

    def import_adapter(
        self,
        path: Path,
        name: str,
        base: str,
        progress: Progress | None = None,
        *,
        system: str = "",
        before_entry: BeforeEntry = lambda _name, _digest: None,
    ) -> StoredModel:
        """Copy the LoRA adapter at `path` into the store as `name`, for the model `base`; else as `import_gguf`.

        Without `system` it keeps the base's system message. Raises StoreFault also for a base that is none.
        """
        parsed = _parse(name)
        with self._locked():
            model = self.find(base)
            header = self._base_header(model)
            _check_source(path, lambda file: read_adapter(file, header))
            written = write_blob(path, self._blobs, progress or _no_progress, lambda copy: read_adapter(copy, header))
            layers = adapter_layers(model.manifest, written.digest, written.size_bytes)
            config = write_adapter_config(model.config, model.name.display, layers)
            return self._enter(parsed, layers, config, (system or model.system).encode(), before_entry)

    def remove(self, name: str) -> None:
        """Forget the model and delete the blobs that no other model uses. Raises StoreFault."""
        parsed = _parse(name)
        path = self._manifest_of(parsed)
        try:
            with self._locked():
                self.require_no_adapters(parsed)
                self._remove(path)
        except OSError as fault:
            raise disk_fault(fault, path) from None

    def require_no_adapters(self, name: ModelName) -> None:
        """Raises StoreFault for a model that adapters in this store are for: they would be left without one."""
        adapters = [model.name.display for model in self.scan()[0] if model.base.lower() == name.key]
        if adapters:
            raise StoreFault(
                f"{name.display} is the base model of {', '.join(adapters)}: remove those first", bad_input=True
            )

    # ---- inside

    @staticmethod
    def _verify(model: StoredModel, file: Path, layer: Layer) -> None:
        if f"sha256:{hash_file(file)}" != layer.digest:
            raise _damaged(model, "its file has changed since it was imported")

    def _add_projector(self, source: Path, model: Written) -> tuple[Layer, ...]:
        """The projector's blob, in place. Raises StoreFault for a file that is none for this model."""
        try:
            _check_source(source, lambda file: read_projector(file, model.header))
            written = write_blob(source, self._blobs, _no_progress, lambda copy: read_projector(copy, model.header))
        except BaseException:
            self._drop_unused({model.digest})
            raise
        return (Layer(PROJECTOR_LAYER, written.digest, written.size_bytes),)

    def _base_header(self, model: StoredModel) -> GgufHeader:
        """The header of a model that can have adapters. Raises StoreFault."""
        if model.base:
            raise StoreFault(
                f"{model.name.display} is an adapter itself: name its base model {model.base}", bad_input=True
            )
        if "completion" not in self.card(model).capabilities:
            raise StoreFault(
                f"{model.name.display} writes no text, and adapters for vectors are not supported", bad_input=True
            )
        return self.header(model)

    def _enter(
        self, name: ModelName, layers: Sequence[Layer], config: bytes, system: bytes, before_entry: BeforeEntry
    ) -> StoredModel:
        """Write system message, config and manifest of a model whose blob, the last layer's, is in place."""
        own = layers[-1].digest
        try:
            present = self._find_file(name)
            if present and not self._is_same(present, layers, config):
                raise StoreFault(f"{name.display} is another model already: 'corral models rm {name.display}' first")
            before_entry(name.display, own.removeprefix("sha256:"))
            all_layers = [*layers, *([self._add_blob(SYSTEM_LAYER, system)] if system else [])]
            written = write_manifest(self._add_blob(CONFIG_TYPE, config), tuple(all_layers))
            write_bytes(present or self._place(name), written)
        except OSError as fault:
            self._drop_unused({layer.digest for layer in layers})
            raise disk_fault(fault, self._path) from None
        except BaseException:
            self._drop_unused({layer.digest for layer in layers})
            raise
        return self._read(self._manifest_of(name))

    def _add_blob(self, media_type: str, content: bytes) -> Layer:
        digest = f"sha256:{sha256(content).hexdigest()}"
        write_bytes(self._blob(digest), content)
        return Layer(media_type, digest, len(content))

    def _remove(self, path: Path) -> None:
        try:
            digests = set(read_manifest(_read_small(path)).digests)
        except ValueError:
            digests = set()
        path.unlink()
        for folder in (path.parent, path.parent.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        self._drop_unused(digests)

    def _drop_unused(self, digests: set[str]) -> None:
        """Delete the blobs of `digests` that no manifest names; none while a manifest cannot be read."""
        for path in self._manifest_files():
            try:
                digests = digests - read_manifest(_read_small(path)).digests
            except (ValueError, OSError):
                return
        for digest in digests:
            self._blob(digest).unlink(missing_ok=True)

    def _read(self, path: Path) -> StoredModel:
        name = self._name_of(path)
        try:
            data = _read_small(path)
            manifest = read_manifest(data)
            config = read_config(_read_small(self._blob(manifest.config.digest)))
            check_supported(manifest, config)
            layer = manifest.model
            file = self._blob(layer.digest)
            system, adapter, sight = manifest.system, manifest.adapter, manifest.projector
            words = _read_small(self._blob(system.digest)).decode() if system else ""
            for each in (layer, *(extra for extra in (adapter, sight) if extra)):
                if self._blob(each.digest).stat().st_size != each.size_bytes:
                    raise ValueError("has a file of another length than it was imported with")
            base = base_of(manifest, config, self._entries()) if adapter else ""
            yarn = yarn_in(config)
        except (ValueError, OSError) as fault:
            raise _unusable(name, _words(fault)) from None
        own, seeing = (self._blob(extra.digest) if extra else None for extra in (adapter, sight))
        digest = sha256(data).hexdigest()
        return StoredModel(name, digest, path.stat().st_mtime, manifest, config, file, words, own, base, seeing, yarn)

    def _entries(self) -> Iterator[Entry]:
        """Every entry whose manifest can be read."""
        for path in self._manifest_files():
            with suppress(ValueError, OSError):
                manifest = read_manifest(_read_small(path))
                yield Entry(self._name_of(path), manifest, self._stretch_of(manifest))

    def _stretch_of(self, manifest: Manifest) -> Yarn:
        """What the config of an entry states; none where it cannot be read."""
        with suppress(ValueError, OSError):
            return yarn_in(read_config(_read_small(self._blob(manifest.config.digest))))
        return NO_YARN

    def _manifest_of(self, name: ModelName) -> Path:
        found = self._find_file(name)
        if found is None:
            raise StoreFault(
                f"no model {name.display!r} in {self._path}: 'corral models list' shows what there is", bad_input=True
            )
        return found

    def _find_file(self, name: ModelName) -> Path | None:
        for path in self._manifest_files():
            if self._name_of(path).key == name.key:
                return path
        return None

    def _manifest_files(self) -> Iterator[Path]:
        """Manifests whose path is a name; anything else in the folder is none of ours."""
        for path in sorted(self._manifests.glob("*/*/*")):
            try:
                self._name_of(path)
            except ValueError:
                continue
            if path.is_file():
                yield path

    def _name_of(self, path: Path) -> ModelName:
        return parse_model_name("/".join(path.relative_to(self._manifests).parts[:2]) + f":{path.name}")

    def _is_same(self, present: Path, layers: Sequence[Layer], config: bytes) -> bool:
        """Whether an entry has these files and this stretch: what it answers with, beside its words. One whose manifest
        cannot be read is another.
        """
        try:
            manifest = read_manifest(_read_small(present))
            parts = (manifest.model, manifest.adapter, manifest.projector)
        except ValueError:
            return False
        same_files = {part.digest for part in parts if part} == {layer.digest for layer in layers}
        return same_files and self._stretch_of(manifest) == yarn_in(read_config(config))

    def _place(self, name: ModelName) -> Path:
        return self._manifests / name.namespace / name.model / name.tag

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.replace(":", "-")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store for one change; waits for another command to finish its own."""
        try:
            self._path.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            descriptor = os.open(self._path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise disk_fault(fault, self._path) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _parse(name: str) -> ModelName:
    try:
        return parse_model_name(name)
    except ValueError as fault:
        raise StoreFault(str(fault), bad_input=True) from None


def _no_progress(_done_bytes: int, _total_bytes: int) -> None:
    """Nobody watches the copy."""


def _check_source(path: Path, read: Callable[[Path], GgufHeader] = read_model) -> None:
    """Refuse early what cannot be imported; the copy is checked again before it counts."""
    try:
        if not path.is_file():
            raise StoreFault(f"{path} is not a file", bad_input=True)
        read(path)
    except GgufFault as fault:
        raise StoreFault(f"{path}: {fault}", bad_input=True) from None
    except OSError as fault:
        raise disk_fault(fault, path) from None


def _read_stretchable(path: Path, asked: Yarn | None) -> GgufHeader:
    """The header of a model that can be stretched as it is asked. Raises GgufFault, OSError."""
    header = read_model(path)
    if asked is not None:
        try:
            checked(asked, header)
        except ValueError as fault:
            raise GgufFault(str(fault)) from None
    return header


def _stretched(details: ModelDetails, yarn: Yarn) -> ModelDetails:
    return structs.replace(details, context_length=yarn.tokens(details.context_length))


def _read_small(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ValueError("has a manifest or config above 1 MiB")
    return data


def _unusable(name: ModelName, why: str) -> StoreFault:
    return StoreFault(f"model {name.display} {why}: 'corral models rm {name.display}' and import it again")


def _damaged(model: StoredModel, why: str) -> StoreFault:
    return _unusable(model.name, f"cannot be used, {why}")


def _words(fault: Exception) -> str:
    if isinstance(fault, OSError):
        return f"cannot be read ({fault.strerror or 'input or output error'})"
    return str(fault)


def _text_list(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
