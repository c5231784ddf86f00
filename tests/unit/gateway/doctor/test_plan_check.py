from pathlib import Path

import pytest

from engine.settings import EngineSettings
from engine.store.model_store import ModelStore
from gateway.doctor.plan_check import plan_complaints
from gateway.homes.home import Home
from tests.unit.engine.tiny_gguf import model_bytes


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for number, name in enumerate(("a:1", "b:1")):
        file = tmp_path / f"{number}.gguf"
        file.write_bytes(model_bytes(llama__rope__freq_base=(6, 1e4 + number)))
        ModelStore(home.models).import_gguf(file, name, lambda _copied, _size: None)
    return home


def told(home: Home, settings: EngineSettings) -> list[str]:
    return [each.line for each in plan_complaints(home, settings)]


def test_what_fits_is_not_complained_of(home: Home) -> None:
    assert told(home, EngineSettings(memory_budget_mib=200)) == []
    assert told(Home(home.path / "empty"), EngineSettings()) == []


def test_each_model_that_does_not_fit_is_told_of(home: Home) -> None:
    lines = told(home, EngineSettings(memory_budget_mib=10))
    assert [line.split(" does not fit")[0] for line in lines] == ["plan: model a:1", "plan: model b:1"]
    assert all(line.endswith("change engine in config.yaml as it says") for line in lines)
    assert len(told(home, EngineSettings(memory_budget_mib=10, models=("b:1",)))) == 1


def test_a_file_that_was_cut_off_is_told_of_and_the_others_are_planned(home: Home) -> None:
    entry = ModelStore(home.models).find("a:1")
    entry.file.chmod(0o600)
    entry.file.write_bytes(b"X")
    [line] = told(home, EngineSettings())
    assert line.startswith("models: model a:1 has a file of another length")
    assert "'corral models rm a:1'" in line


def test_a_damaged_model_and_a_missing_one_are_told_of(home: Home) -> None:
    assert "engine.models names 'none'" in told(home, EngineSettings(models=("none",)))[0]
    entry, _ = ModelStore(home.models).scan()[0]
    entry.file.chmod(0o600)
    entry.file.write_bytes(b"X" * entry.file.stat().st_size)
    assert "corral models rm a:1" in told(home, EngineSettings())[0]
