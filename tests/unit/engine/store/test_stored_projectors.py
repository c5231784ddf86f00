"""A model and its projector in the store: both, or neither."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from engine.store.model_store import Additions, ModelStore
from engine.store.store_fault import StoreFault
from gateway.supervision.stored_projectors import stored_projectors
from tests.unit.engine.tiny_vision import write_projector, write_text_model


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_text_model(tmp_path / "text.gguf"), write_projector(tmp_path / "projector.gguf")


def blobs(tmp_path: Path) -> int:
    return len(list((tmp_path / "models" / "blobs").glob("*")))


def test_the_layers_are_ollamas_and_the_card_says_vision(
    tmp_path: Path, store: ModelStore, files: tuple[Path, Path]
) -> None:
    model = store.import_gguf(files[0], "seer", adds=Additions(projector=files[1]))
    manifest = json.loads((tmp_path / "models/manifests/registry.ollama.ai/library/seer/latest").read_bytes())
    layers = {layer["mediaType"].rpartition(".")[2]: layer["digest"] for layer in manifest["layers"]}
    digests = [f"sha256:{sha256(file.read_bytes()).hexdigest()}" for file in files]
    assert [layers["model"], layers["projector"]] == digests
    assert model.projector is not None
    assert model.projector.read_bytes() == files[1].read_bytes()
    card = store.card(model)
    assert card.capabilities == ("completion", "vision")
    assert card.size_bytes == sum(file.stat().st_size for file in files)
    (stored,) = stored_projectors(store, store.scan()[0])
    assert (stored.card, stored.model_file) == (card, str(model.projector))
    assert stored.size_bytes == files[1].stat().st_size


def test_a_model_without_one_does_not_see(store: ModelStore, files: tuple[Path, Path]) -> None:
    model = store.import_gguf(files[0], "blind")
    assert (model.projector, store.card(model).capabilities) == (None, ("completion",))
    assert stored_projectors(store, store.scan()[0]) == ()


def test_the_same_name_with_another_projector_is_another_model(store: ModelStore, files: tuple[Path, Path]) -> None:
    store.import_gguf(files[0], "seer", adds=Additions(projector=files[1]))
    store.import_gguf(files[0], "seer", adds=Additions(projector=files[1]))
    with pytest.raises(StoreFault, match="another model already"):
        store.import_gguf(files[0], "seer")


def test_a_file_that_is_no_projector_for_it_leaves_nothing_behind(
    tmp_path: Path, store: ModelStore, files: tuple[Path, Path]
) -> None:
    wide = write_projector(tmp_path / "wide.gguf", width=64)
    for file, why in ((wide, "rows of 64 numbers"), (files[0], "no projector"), (tmp_path / "none", "not a file")):
        with pytest.raises(StoreFault, match=why) as refused:
            store.import_gguf(files[0], "seer", adds=Additions(projector=file))
        assert refused.value.bad_input
        assert (store.scan()[0], blobs(tmp_path)) == ((), 0)


def test_a_changed_projector_is_found(store: ModelStore, files: tuple[Path, Path]) -> None:
    model = store.import_gguf(files[0], "seer", adds=Additions(projector=files[1]))
    store.verify("seer")
    assert model.projector is not None
    data = bytearray(model.projector.read_bytes())
    data[-1] ^= 1
    model.projector.write_bytes(data)
    with pytest.raises(StoreFault, match="its file has changed"):
        store.verify("seer")
    model.projector.write_bytes(data[:-1])
    _, (fault,) = store.scan()
    assert "another length" in str(fault)


def test_removing_the_model_removes_both(tmp_path: Path, store: ModelStore, files: tuple[Path, Path]) -> None:
    store.import_gguf(files[0], "seer", adds=Additions(projector=files[1]))
    store.import_gguf(files[0], "blind")
    store.remove("seer")
    store.verify("blind")
    store.remove("blind")
    assert blobs(tmp_path) == 0
