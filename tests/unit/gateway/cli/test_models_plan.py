"""`corral models show NAME --plan` on a home with tiny models."""

import json
from pathlib import Path

import pytest

from gateway.cli.output import BAD_INPUT
from tests.unit.engine.tiny_gguf import model_bytes
from tests.unit.engine.tiny_lora import write_adapter
from tests.unit.engine.tiny_vision import write_text_model
from tests.unit.gateway.cli.command_line import Corral


@pytest.fixture
def two(corral: Corral, tmp_path: Path) -> Corral:
    for number, name in enumerate(("a:1", "b:1")):
        (tmp_path / f"{number}.gguf").write_bytes(model_bytes(llama__rope__freq_base=(6, 1e4 + number)))
        assert corral.run("models", "import", str(tmp_path / f"{number}.gguf"), name)[0] == 0
    return corral


def test_the_plan_says_what_and_why(two: Corral) -> None:
    two.home.config.write_text("engine: {memory_budget_mib: 400, slots: 3, threads: 2}\n")
    status, out, err = two.run("models", "show", "a:1", "--plan")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "memory budget 419.4 MB for all workers together (config.yaml)"
    assert lines[1:3] == ["slots 3 (config.yaml)", "context 256 tokens a slot (planned; the model states 256)"]
    assert lines[5].startswith("threads 2 (config.yaml; ")
    assert lines[-1] == "more memory would change nothing"
    assert two.json("models", "show", "a:1", "--plan") == {"name": "a:1", "plan": lines}


def test_a_model_that_is_not_served_is_planned_beside_those_that_are(two: Corral) -> None:
    two.home.config.write_text("engine: {models: ['a:1']}\n")
    [line, *_] = two.json("models", "show", "b:1", "--plan")["plan"]
    assert "and 1 more preparers)" in line
    assert "more preparers" not in two.json("models", "show", "a:1", "--plan")["plan"][0]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("engine: {memory_budget_mib: 10}\n", "model a:1 does not fit: CPU needs"),
        ("engine: {slots: 0}\n", "slots must be 1 to 64"),
        ("engine: {models: [none]}\n", "engine.models names 'none'"),
    ],
)
def test_what_cannot_be_planned_is_one_line(two: Corral, config: str, words: str) -> None:
    two.home.config.write_text(config)
    status, out, err = two.run("models", "show", "a:1", "--plan")
    assert (status, out) == (BAD_INPUT, "")
    assert words in err
    assert err.count("\n") == 1


def test_an_adapter_sends_to_its_base(corral: Corral, tmp_path: Path) -> None:
    base = write_text_model(tmp_path / "base.gguf")
    adapter = write_adapter(tmp_path / "adapter.gguf")
    assert corral.run("models", "import", str(base), "base:1")[0] == 0
    assert corral.run("models", "import", str(adapter), "own:1", "--adapter-of", "base:1")[0] == 0
    status, _, err = corral.run("models", "show", "own:1", "--plan")
    assert status == BAD_INPUT
    assert "see 'corral models show base:1 --plan'" in err
    assert json.loads(corral.run("models", "show", "base:1", "--plan", "--json")[1])["name"] == "base:1"
