from pathlib import Path

from engine.store.model_store import ModelStore
from gateway.supervision.stored_adapters import stored_adapters
from tests.unit.engine.tiny_lora import write_adapter
from tests.unit.engine.tiny_vision import write_text_model


def test_the_adapters_of_a_store_and_nothing_else(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    store.import_gguf(write_text_model(tmp_path / "m.gguf"), "tiny:1")
    file = write_adapter(tmp_path / "a.gguf")
    entry = store.import_adapter(file, "sql:1", "tiny:1")
    (found,) = stored_adapters(store, store.scan()[0])
    assert (found.card.name, found.card.parent) == ("sql:1", "tiny:1")
    assert (found.file, found.size_bytes) == (str(entry.adapter), file.stat().st_size)
