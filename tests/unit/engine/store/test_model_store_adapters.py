"""An adapter is in the store as Ollama puts it there: a name of its own, over its base model's file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.store.model_store import Additions, ModelStore, StoredModel
from engine.store.store_fault import StoreFault
from tests.unit.engine.tiny_gguf import model_bytes
from tests.unit.engine.tiny_lora import write_adapter
from tests.unit.engine.tiny_vision import write_text_model


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    store.import_gguf(write_text_model(tmp_path / "base.gguf"), "Tiny:1", adds=Additions(system="Be brief."))
    return store


def put(store: ModelStore, folder: Path, name: str = "sql:1", seed: int = 1, **more: Any) -> StoredModel:
    return store.import_adapter(write_adapter(folder / "a.gguf", seed), name, "tiny:1", **more)


def manifests(folder: Path) -> dict[str, list[str]]:
    """The kinds of layers of every entry."""
    found = {}
    for path in (folder / "models/manifests/registry.ollama.ai/library").glob("*/*"):
        layers = json.loads(path.read_bytes())["layers"]
        found[f"{path.parent.name}:{path.name}"] = [layer["mediaType"].rpartition(".")[2] for layer in layers]
    return found


def blobs(folder: Path) -> int:
    return len(list((folder / "models/blobs").iterdir()))


def refusal(store: ModelStore, folder: Path, name: str = "sql:1", base: str = "tiny:1") -> str:
    with pytest.raises(StoreFault) as caught:
        store.import_adapter(write_adapter(folder / "a.gguf"), name, base)
    return str(caught.value)


def test_it_lies_in_ollamas_layout_and_shares_its_bases_file(tmp_path: Path, store: ModelStore) -> None:
    adapter = put(store, tmp_path)
    assert manifests(tmp_path) == {"Tiny:1": ["model", "system"], "sql:1": ["model", "adapter", "system"]}
    assert adapter.base == "Tiny:1"
    assert adapter.file == store.find("tiny:1").file
    assert adapter.adapter is not None
    assert adapter.adapter.read_bytes() == (tmp_path / "a.gguf").read_bytes()
    card = store.card(adapter)
    assert (card.name, card.parent, card.system, card.capabilities) == ("sql:1", "Tiny:1", "Be brief.", ("completion",))
    assert card.digest != store.card(store.find("tiny:1")).digest
    assert store.card(store.find("tiny:1")).parent == ""
    assert store.adapter_header(adapter).metadata["adapter.type"] == "lora"
    assert [model.name.display for model in store.scan()[0]] == ["sql:1", "Tiny:1"]
    store.verify("sql:1")


def test_it_may_have_a_system_message_of_its_own(tmp_path: Path, store: ModelStore) -> None:
    assert put(store, tmp_path, system="Answer in SQL.").system == "Answer in SQL."


def test_the_same_file_again_changes_nothing(tmp_path: Path, store: ModelStore) -> None:
    first = put(store, tmp_path)
    assert put(store, tmp_path).digest == first.digest


@pytest.mark.parametrize("taken", ["sql:1", "tiny:1"])
def test_a_name_that_is_taken_is_refused_and_nothing_stays(tmp_path: Path, store: ModelStore, taken: str) -> None:
    put(store, tmp_path)
    before = blobs(tmp_path)
    with pytest.raises(StoreFault, match="another model already"):
        put(store, tmp_path, taken, seed=2)
    assert blobs(tmp_path) == before


def test_what_is_no_base_is_refused(tmp_path: Path, store: ModelStore) -> None:
    put(store, tmp_path)
    assert "an adapter itself: name its base model Tiny:1" in refusal(store, tmp_path, "two:1", "sql:1")
    assert "no model 'none:latest'" in refusal(store, tmp_path, "two:1", "none")
    vectors = tmp_path / "vectors.gguf"
    vectors.write_bytes(model_bytes(general__architecture=(8, "bert")))
    store.import_gguf(vectors, "vectors:1")
    assert "writes no text" in refusal(store, tmp_path, "two:1", "vectors:1")


def test_a_hostile_file_is_refused_and_nothing_stays(tmp_path: Path, store: ModelStore) -> None:
    before = blobs(tmp_path)
    path = write_adapter(tmp_path / "a.gguf", said={"adapter.lora.alpha": np.float32("nan")})
    with pytest.raises(StoreFault, match="alpha") as caught:
        store.import_adapter(path, "sql:1", "tiny:1")
    assert caught.value.bad_input
    assert (blobs(tmp_path), set(manifests(tmp_path))) == (before, {"Tiny:1"})


def test_a_base_stays_as_long_as_it_has_adapters(tmp_path: Path, store: ModelStore) -> None:
    put(store, tmp_path)
    with pytest.raises(StoreFault, match="base model of sql:1: remove those first"):
        store.remove("tiny:1")
    store.remove("sql:1")
    assert store.find("tiny:1").file.exists()
    store.remove("tiny:1")
    assert blobs(tmp_path) == 0


def test_an_adapter_whose_base_is_gone_cannot_be_served(tmp_path: Path, store: ModelStore) -> None:
    put(store, tmp_path)
    (tmp_path / "models/manifests/registry.ollama.ai/library/Tiny/1").unlink()
    models, faults = store.scan()
    assert models == ()
    assert "base model is not in this store" in str(faults[0])


def test_a_changed_file_is_found(tmp_path: Path, store: ModelStore) -> None:
    adapter = put(store, tmp_path)
    assert adapter.adapter is not None
    data = adapter.adapter.read_bytes()
    adapter.adapter.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StoreFault, match="changed since it was imported"):
        store.verify("sql:1")
    adapter.adapter.write_bytes(b"GGUF" + bytes(len(data) - 4))
    with pytest.raises(StoreFault, match="cannot be used"):
        store.adapter_header(adapter)
    adapter.adapter.write_bytes(data[:-1])
    with pytest.raises(StoreFault, match="another length"):
        store.find("sql:1")


def test_an_entry_that_ollama_made_has_its_base_found_by_the_file(tmp_path: Path, store: ModelStore) -> None:
    """Its config names none."""
    put(store, tmp_path)
    path = tmp_path / "models/manifests/registry.ollama.ai/library/sql/1"
    document = json.loads(path.read_bytes())
    document["config"] = json.loads((path.parent.parent / "Tiny/1").read_bytes())["config"]
    path.write_text(json.dumps(document))
    assert store.find("sql:1").base == "Tiny:1"
