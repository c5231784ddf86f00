from pathlib import Path

import pytest

from engine.plan import PlanFault
from engine.projector_plan import ENCODING_BYTES
from engine.settings import EngineSettings
from engine.store.model_store import Additions, ModelStore
from gateway.supervision.stored_models import served_models
from tests.unit.engine.tiny_gguf import model_bytes
from tests.unit.engine.tiny_lora import write_adapter
from tests.unit.engine.tiny_vision import write_projector, write_text_model


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    for number, name in enumerate(("a:1", "b:1")):
        file = tmp_path / f"{number}.gguf"
        file.write_bytes(model_bytes(llama__rope__freq_base=(6, 1e4 + number)))
        store.import_gguf(file, name, lambda _copied, _size: None)
    return store


def names(store: ModelStore, asked: tuple[str, ...] | None, also: str = "") -> tuple[str, ...]:
    served = served_models(store, store.scan()[0], EngineSettings(models=asked), also=also)
    settings, models = served.settings, served.models
    assert settings.models is None or set(settings.models) >= {model.card.name for model in models}
    return tuple(model.card.name for model in models)


def test_all_or_those_that_are_named_and_one_in_any_case(store: ModelStore) -> None:
    assert names(store, None) == names(store, None, also="a:1") == ("a:1", "b:1")
    assert names(store, ("b:1",)) == names(store, ("b:1",), also="b:1") == ("b:1",)
    assert names(store, ("b:1",), also="a:1") == ("b:1", "a:1")
    assert names(store, ()) == ()


def test_each_has_its_sizes(store: ModelStore) -> None:
    first, _ = served_models(store, store.scan()[0], EngineSettings()).models
    assert first.size.weights_bytes == 64 * 4
    assert (len(first.size.layers), first.size.context_length) == (1, 256)


def test_only_what_is_served_is_opened(store: ModelStore) -> None:
    [_, damaged] = store.scan()[0]
    damaged.file.chmod(0o600)
    damaged.file.write_bytes(b"X" * damaged.file.stat().st_size)
    assert names(store, ("a:1",)) == ("a:1",)
    with pytest.raises(Exception, match="b:1"):
        names(store, None)


def test_a_file_that_cannot_be_planned_names_itself_and_the_remedy(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.fitting.model_size.MOST_LAYERS", 0)
    with pytest.raises(PlanFault, match=r"^model a:1: /.*: the file states 1 layers.*: 'corral models rm a:1', and"):
        names(store, None)


def test_room_for_what_is_loaded_beside_a_model(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "own")
    base = write_text_model(tmp_path / "base.gguf")
    adapter = write_adapter(tmp_path / "adapter.gguf")
    projector = write_projector(tmp_path / "projector.gguf")
    quiet = lambda _copied, _size: None  # noqa: E731
    store.import_gguf(base, "base:1", quiet)
    store.import_gguf(base, "sees:1", quiet, adds=Additions(projector=projector))
    store.import_adapter(adapter, "own:1", "base:1", quiet)
    entries = store.scan()[0]
    models = served_models(store, entries, EngineSettings()).models
    assert {model.card.name: model.beside_bytes for model in models} == {
        "base:1": adapter.stat().st_size,
        "sees:1": projector.stat().st_size + ENCODING_BYTES,
    }
    [alone] = served_models(store, entries, EngineSettings(models=("base:1",))).models
    assert alone.beside_bytes == 0
