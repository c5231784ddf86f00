"""What may be stretched, how the store and the plan say it, and what a worker is told."""

import io
import json
from pathlib import Path

import pytest

from engine.fitting.explanation import explain
from engine.fitting.ladder import Overrides
from engine.fitting.machine import GIB
from engine.fitting.model_size import model_size_of
from engine.fitting.placement import fit
from engine.store.gguf_header import GgufHeader, parse_header
from engine.store.model_store import Additions, ModelStore
from engine.store.store_fault import StoreFault
from engine.store.yarn import MOST, NONE, check_factor, check_file, factor_in, stretched, written
from tests.unit.engine.fitting.made_up_model import SMOLLM2, machine
from tests.unit.engine.tiny_gguf import Entry, model_bytes


def header(**changes: Entry) -> GgufHeader:
    data = model_bytes(**changes)
    return parse_header(io.BytesIO(data), len(data))


@pytest.mark.parametrize("factor", [1.0, 0.5, -4.0, MOST + 1, float("nan"), float("inf")])
def test_a_factor_that_stretches_nothing_or_too_much(factor: float) -> None:
    with pytest.raises(ValueError, match="must be above 1 and at most 64"):
        check_factor(factor)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"llama__rope__scaling__type": (8, "linear")}, r"a rope scaling of its own \(linear\)"),
        ({"llama__rope__scaling__type": (8, "yarn")}, r"a rope scaling of its own \(yarn\)"),
        ({"llama__attention__causal": (7, False)}, "reads a text at once"),
    ],
)
def test_a_file_that_cannot_be_stretched(changes: dict[str, Entry], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_file(header(**changes))


def test_a_file_that_can() -> None:
    check_file(header())
    check_file(header(llama__rope__scaling__type=(8, "none")))
    check_factor(4.0)
    assert stretched(32_768, 4.0) == 131_072


def test_a_config_blob_says_it_in_hugging_faces_words() -> None:
    config = written(32_768, 4.0)
    assert config == {
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
    }
    assert factor_in(config) == 4.0
    assert (written(32_768, NONE), factor_in({})) == ({}, NONE)


@pytest.mark.parametrize(
    "stated", [{"type": "linear", "factor": 4}, {"type": "yarn"}, {"type": "yarn", "factor": "4"}, 4, "yarn", [],
               {"type": "yarn", "factor": 0.5}, {"type": "yarn", "factor": 1e9}]
)  # fmt: skip
def test_a_scaling_that_nobody_knows_is_not_served_without(stated: object) -> None:
    with pytest.raises(ValueError, match="states a"):
        factor_in({"rope_scaling": stated})


def test_a_model_of_its_own_over_the_same_file(tmp_path: Path) -> None:
    store, file = ModelStore(tmp_path / "models"), tmp_path / "m.gguf"
    file.write_bytes(model_bytes())
    plain = store.import_gguf(file, "tiny")
    long = store.import_gguf(file, "tiny:long", adds=Additions(yarn_factor=4.0))
    assert plain.file == long.file
    assert (plain.yarn_factor, long.yarn_factor, store.find("tiny:long").yarn_factor) == (NONE, 4.0, 4.0)
    assert [store.card(each).details.context_length for each in (plain, long)] == [256, 1024]
    store.remove("tiny")
    store.verify("tiny:long")
    with pytest.raises(StoreFault, match="YaRN factor is 1000"):
        store.import_gguf(file, "tiny:huge", adds=Additions(yarn_factor=1000.0))
    assert [each.name.display for each in store.scan()[0]] == ["tiny:long"]


def test_a_store_that_states_an_unknown_scaling_says_so(tmp_path: Path) -> None:
    store, file = ModelStore(tmp_path / "models"), tmp_path / "m.gguf"
    file.write_bytes(model_bytes())
    entry = store.import_gguf(file, "tiny", adds=Additions(yarn_factor=2.0))
    blob = tmp_path / "models/blobs" / entry.manifest.config.digest.replace(":", "-")
    blob.write_text(json.dumps(entry.config | {"rope_scaling": {"type": "linear", "factor": 2}}))
    models, (fault,) = store.scan()
    assert not models
    assert "tiny:latest states a rope scaling that is not YaRN" in str(fault)


def test_the_plan_goes_by_the_stretched_context() -> None:
    plain, long = model_size_of(SMOLLM2), model_size_of(SMOLLM2, 4.0)
    assert all_else(plain) == all_else(long)
    assert (plain.context_length, long.context_length) == (8192, 32_768)
    stated = Overrides(slots=1, context_tokens=32_768)
    plan = fit(long, machine(8 * GIB), stated)
    assert plan.shape.context_tokens == 32_768
    told = [line.text for line in explain(plan, long, machine(8 * GIB), stated)]
    assert "context 32768 tokens a slot (config.yaml; 32768 after YaRN, factor 4)" in told


def all_else(size: object) -> dict[str, object]:
    names = (name for name in getattr(size, "__struct_fields__", ()) if name not in {"context_length", "yarn_factor"})
    return {name: getattr(size, name) for name in names}
