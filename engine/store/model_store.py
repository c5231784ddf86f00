"""The models on this machine: Ollama's layout, so that its store can be read and ours by it.

    blobs/sha256-HEX                                     the content, named by its hash
    manifests/registry.ollama.ai/NAMESPACE/MODEL/TAG     JSON naming the blobs of one model

A blob is written beside its place, checked, made durable and renamed; the manifest comes last, so that a
model is either there or not. Removing goes the other way round. `flock` on the store keeps two commands
from removing what the other just wrote. Reading needs no lock and no right to write.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.store.blob import Written, hash_file, write_blob, write_bytes
from engine.store.gguf_check import read_model
from engine.store.gguf_header import GgufFault, GgufHeader, read_header
from engine.store.manifest import (
    CONFIG_TYPE,
    MAX_JSON_BYTES,
    MODEL_LAYER,
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
from engine.store.store_fault import StoreFault, disk_fault
from policies.call import ModelCard

Progress = Callable[[int, int], None]
BeforeEntry = Callable[[str, str], None]
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One model of a store. `digest` is the SHA-256 of its manifest file, 64 hex digits; `system` its own
    system message."""

    name: ModelName
    digest: str
    modified_at: float
    manifest: Manifest
    config: dict[str, Any]
    file: Path
    system: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(layer.size_bytes for layer in self.manifest.layers)


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
            details, capabilities = details_of(header), capabilities_of(header)
        return ModelCard(
            name=model.name.display,
            digest=model.digest,
            size_bytes=model.size_bytes,
            modified_at=model.modified_at,
            details=details,
            capabilities=capabilities,
            system=model.system,
        )

    def header(self, model: StoredModel) -> GgufHeader:
        """The header of the model's file. Raises StoreFault."""
        try:
            return read_header(model.file)
        except (GgufFault, OSError) as fault:
            raise _damaged(model, _words(fault)) from None

    def verify(self, name: str) -> None:
        """Hash the model's file again. Raises StoreFault when it is not what was imported."""
        model = self.find(name)
        try:
            digest = hash_file(model.file)
        except OSError as fault:
            raise _damaged(model, _words(fault)) from None
        if f"sha256:{digest}" != model.manifest.model.digest:
            raise _damaged(model, "its file has changed since it was imported")

    # ---- changing

    def import_gguf(
        self,
        path: Path,
        name: str,
        progress: Progress | None = None,
        *,
        system: str = "",
        before_entry: BeforeEntry = lambda _name, _digest: None,
    ) -> StoredModel:
        """Copy the GGUF file at `path` into the store as `name`; `progress` gets bytes done and in all.

        `system` becomes the model's own system message, as SYSTEM of a Modelfile. The same file under the
        same name again changes nothing else. Raises StoreFault and leaves nothing behind when the file is no
        model, the name is taken by another model, or the disk is full.
        `before_entry` is told name and file digest when the file is in place and has no name yet; what it
        raises goes on to the caller, and nothing is left behind.
        """
        parsed = _parse(name)
        _check_source(path)
        with self._locked():
            written = write_blob(path, self._blobs, progress or (lambda _done, _total: None))
            return self._enter(parsed, written, system, before_entry)

    def remove(self, name: str) -> None:
        """Forget the model and delete the blobs that no other model uses. Raises StoreFault."""
        parsed = _parse(name)
        path = self._manifest_of(parsed)
        try:
            with self._locked():
                self._remove(path)
        except OSError as fault:
            raise disk_fault(fault, path) from None

    # ---- inside

    def _enter(self, name: ModelName, written: Written, system: str, before_entry: BeforeEntry) -> StoredModel:
        """Write system message, config and manifest of a model whose blob is in place."""
        try:
            present = self._find_file(name)
            if present and self._model_digest(present) != written.digest:
                raise StoreFault(f"{name.display} is another model already: 'corral models rm {name.display}' first")
            before_entry(name.display, written.digest.removeprefix("sha256:"))
            config = self._add_blob(CONFIG_TYPE, write_config(written.header, written.digest))
            layers = [Layer(MODEL_LAYER, written.digest, written.size_bytes)]
            if system:
                layers.append(self._add_blob(SYSTEM_LAYER, system.encode()))
            write_bytes(present or self._place(name), write_manifest(config, tuple(layers)))
        except OSError as fault:
            self._drop_unused({written.digest})
            raise disk_fault(fault, self._path) from None
        except BaseException:
            self._drop_unused({written.digest})
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
            system = manifest.system
            words = _read_small(self._blob(system.digest)).decode() if system else ""
            if file.stat().st_size != layer.size_bytes:
                raise ValueError("has a file of another length than it was imported with")
        except (ValueError, OSError) as fault:
            raise _unusable(name, _words(fault)) from None
        digest = sha256(data).hexdigest()
        return StoredModel(name, digest, path.stat().st_mtime, manifest, config, file, words)

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

    def _model_digest(self, path: Path) -> str:
        try:
            return read_manifest(_read_small(path)).model.digest
        except ValueError:
            return ""

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


def _check_source(path: Path) -> None:
    """Refuse early what cannot be imported; the copy is checked again before it counts."""
    try:
        if not path.is_file():
            raise StoreFault(f"{path} is not a file", bad_input=True)
        read_model(path)
    except GgufFault as fault:
        raise StoreFault(f"{path}: {fault}", bad_input=True) from None
    except OSError as fault:
        raise disk_fault(fault, path) from None


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
