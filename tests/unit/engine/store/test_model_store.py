"""A model is in the store whole, or not at all; and the store is Ollama's."""

import errno
import json
from hashlib import sha256
from pathlib import Path

import pytest

from engine.store import blob
from engine.store.model_store import ModelStore
from engine.store.store_fault import StoreFault
from policies.call import ModelCard
from tests.unit.engine.tiny_gguf import Entry, model_bytes


def model(path: Path, **changes: Entry) -> Path:
    path.write_bytes(model_bytes(**changes))
    return path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def cards(store: ModelStore) -> list[ModelCard]:
    """What the store offers to `corral serve`."""
    return [store.card(entry) for entry in store.scan()[0]]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return model(tmp_path / "m.gguf")


def test_an_imported_model_lies_in_ollamas_layout(tmp_path: Path, store: ModelStore, source: Path) -> None:
    store.import_gguf(source, "Tiny:1")
    digest = sha256(model_bytes()).hexdigest()
    manifest = tmp_path / "models/manifests/registry.ollama.ai/library/Tiny/1"
    document = json.loads(manifest.read_bytes())
    assert document["layers"][0]["digest"] == f"sha256:{digest}"
    assert (tmp_path / f"models/blobs/sha256-{digest}").read_bytes() == model_bytes()
    (card,) = cards(store)
    assert card.name == "Tiny:1"
    assert card.digest == sha256(manifest.read_bytes()).hexdigest()
    assert card.size_bytes == len(model_bytes())
    assert card.capabilities == ("completion",)
    assert card.details.context_length == 256
    assert store.find("TINY:1").file.name == f"sha256-{digest}"
    store.verify("tiny:1")


def test_an_empty_store_is_empty_and_stays_unmade(tmp_path: Path, store: ModelStore) -> None:
    assert cards(store) == []
    assert not (tmp_path / "models").exists()
    with pytest.raises(StoreFault, match="no model 'x:latest'"):
        store.find("x")
    with pytest.raises(StoreFault, match="names a host"):
        store.find("hf.co/a/b")


def test_importing_again_changes_nothing_and_another_file_is_refused(
    tmp_path: Path, store: ModelStore, source: Path
) -> None:
    store.import_gguf(source, "tiny")
    before = files(tmp_path / "models")
    store.import_gguf(source, "TINY:latest")
    assert files(tmp_path / "models") == before
    other = model(tmp_path / "other.gguf", llama__block_count=(4, 2))
    with pytest.raises(StoreFault, match="another model already: 'corral models rm tiny:latest' first"):
        store.import_gguf(other, "tiny")
    assert files(tmp_path / "models") == before


def test_foreign_and_truncated_files_are_refused_by_name(tmp_path: Path, store: ModelStore) -> None:
    for data, words in (
        (b"\x7fELF" + bytes(100), "not a GGUF file"),
        (b"lmgg" + bytes(100), "legacy GGML"),
        (model_bytes()[:-10], "truncated"),
        (model_bytes() + b"x", "1 bytes follow the data of the last tensor"),
        (model_bytes(llama__attention__head_count=(4, 3)), "3 heads do not divide"),
    ):
        path = tmp_path / "bad.gguf"
        path.write_bytes(data)
        with pytest.raises(StoreFault, match=f"bad.gguf: .*{words}") as caught:
            store.import_gguf(path, "x")
        assert caught.value.bad_input
    with pytest.raises(StoreFault, match="is not a file"):
        store.import_gguf(tmp_path, "x")
    assert files(tmp_path) == {"bad.gguf"}


@pytest.mark.parametrize("writes_before", [0, 1, 2])
def test_a_full_disk_at_any_write_leaves_nothing(
    tmp_path: Path, store: ModelStore, source: Path, monkeypatch: pytest.MonkeyPatch, writes_before: int
) -> None:
    durable, left = blob.make_durable, [writes_before]

    def fill(writer: object) -> None:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        durable(writer)  # type: ignore[arg-type]

    monkeypatch.setattr(blob, "make_durable", fill)
    with pytest.raises(StoreFault, match="no space left"):
        store.import_gguf(source, "tiny")
    assert cards(store) == []
    assert not any(
        name.startswith("blobs/sha256-" + sha256(model_bytes()).hexdigest()) for name in files(tmp_path / "models")
    )
    assert not any(".import-" in name for name in files(tmp_path / "models"))


def test_removing_keeps_what_others_use(tmp_path: Path, store: ModelStore, source: Path) -> None:
    store.import_gguf(source, "one")
    store.import_gguf(source, "team/two")
    store.remove("ONE")
    assert [card.name for card in cards(store)] == ["team/two:latest"]
    store.verify("team/two")
    store.remove("team/two")
    assert files(tmp_path / "models") == set()
    with pytest.raises(StoreFault, match="no model"):
        store.remove("one")


def test_removing_deletes_no_blob_while_a_manifest_cannot_be_read(
    tmp_path: Path, store: ModelStore, source: Path
) -> None:
    store.import_gguf(source, "one")
    store.import_gguf(source, "two")
    (tmp_path / "models/manifests/registry.ollama.ai/library/two/latest").write_bytes(b"{")
    store.remove("one")
    assert len(list((tmp_path / "models/blobs").iterdir())) == 2
    store.remove("two")
    assert cards(store) == []


def test_a_changed_file_is_named_with_the_remedy(store: ModelStore, source: Path) -> None:
    file = store.import_gguf(source, "tiny").file
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(StoreFault, match=r"tiny:latest .*changed since.*'corral models rm tiny:latest' and import"):
        store.verify("tiny")
    file.write_bytes(data[:-1])
    with pytest.raises(StoreFault, match="another length"):
        store.verify("tiny")
    file.unlink()
    with pytest.raises(StoreFault, match="cannot be read"):
        store.verify("tiny")


def test_a_damaged_entry_hides_no_other(tmp_path: Path, store: ModelStore, source: Path) -> None:
    store.import_gguf(source, "good")
    library = tmp_path / "models/manifests/registry.ollama.ai/library"
    for name, data in (("bad", b"{}"), ("big", b" " * (1024 * 1024 + 1)), (".hidden", b"{}")):
        (library / name).mkdir()
        (library / name / "latest").write_bytes(data)
    models, faults = store.scan()
    assert [entry.name.display for entry in models] == ["good:latest"]
    assert sorted(str(fault).split()[1] for fault in faults) == ["bad:latest", "big:latest"]


def test_a_foreign_store_is_read_without_writing(tmp_path: Path, store: ModelStore, source: Path) -> None:
    imported = store.import_gguf(source, "tiny")
    blobs = tmp_path / "models/blobs"
    config = b'{"model_format":"gguf","model_family":"llama"}'  # older Ollama: no lengths, no capabilities
    digest = sha256(config).hexdigest()
    (blobs / f"sha256-{digest}").write_bytes(config)
    manifest = tmp_path / "models/manifests/registry.ollama.ai/library/tiny/latest"
    document = json.loads(manifest.read_bytes())
    document["config"] = {"mediaType": "x", "digest": f"sha256:{digest}", "size": len(config)}
    manifest.write_bytes(json.dumps(document).encode())
    (card,) = cards(store)
    assert (card.details.context_length, card.capabilities) == (256, ("completion",))
    imported.file.write_bytes(b"x" * imported.size_bytes)
    with pytest.raises(StoreFault, match="cannot be used"):
        cards(store)


def test_a_store_that_cannot_be_made_is_named(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreFault, match="file"):
        ModelStore(tmp_path / "file" / "models").import_gguf(source, "x")
