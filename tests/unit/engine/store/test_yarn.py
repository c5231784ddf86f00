"""What may be stretched, how the store and the plan say it, and what a worker is told."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.fitting.explanation import explain
from engine.fitting.ladder import Overrides
from engine.fitting.machine import GIB
from engine.fitting.model_size import model_size_of
from engine.fitting.placement import fit
from engine.store.gguf_header import GgufHeader, parse_header
from engine.store.model_details import shown_info
from engine.store.model_store import Additions, ModelStore
from engine.store.store_fault import StoreFault
from engine.store.yarn import MOST, NO_YARN, Yarn, checked, read_yarn, written, yarn_in
from tests.unit.engine.fitting.made_up_model import SMOLLM2, machine
from tests.unit.engine.tiny_gguf import Entry, model_bytes


def header(**changes: Entry) -> GgufHeader:
    data = model_bytes(**changes)
    return parse_header(io.BytesIO(data), len(data))


@pytest.mark.parametrize("factor", [1.0, 0.5, -4.0, MOST + 1, float("nan"), float("inf")])
def test_a_factor_that_stretches_nothing_or_too_much(factor: float) -> None:
    with pytest.raises(ValueError, match="must be above 1 and at most 64"):
        checked(Yarn(factor), header())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"llama__rope__scaling__type": (8, "linear")}, r"a rope scaling of its own \(linear\)"),
        ({"llama__rope__scaling__type": (8, "yarn")}, r"a rope scaling of its own \(yarn\)"),
        ({"llama__rope__scaling__factor": (6, 4.0)}, r"of its own \(rope\.scaling\.factor\)"),  # linear to llama.cpp
        ({"llama__rope__scale_linear": (6, 4.0)}, r"of its own \(rope\.scale_linear\)"),
        ({"llama__attention__causal": (7, False)}, "reads a text at once"),
    ],
)
def test_a_file_that_cannot_be_stretched(changes: dict[str, Entry], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked(Yarn(4.0), header(**changes))


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        ("rope_freqs.weight", r"of its own \(rope_freqs\.weight\)"),
        ("rope_factors_long.weight", r"of its own"),
        ("position_embd.weight", "a table of positions, which ends where it ends"),
    ],
)
def test_what_tensors_say_of_positions(tensor: str, why: str) -> None:
    found = header()
    with pytest.raises(ValueError, match=why):
        checked(Yarn(4.0), replace(found, tensors=(*found.tensors, replace(found.tensors[0], name=tensor))))


def test_an_architecture_without_rotary_positions() -> None:
    """gpt2 would abort in llama.cpp past its table of positions, and take its worker along."""
    found = header()
    known = {**found.metadata, "general.architecture": "gpt2", "gpt2.context_length": 64}
    with pytest.raises(ValueError, match="gpt2 is none that YaRN is known for"):
        checked(Yarn(4.0), replace(found, metadata=known))


def test_a_file_that_can() -> None:
    assert checked(Yarn(4.0), header()) == Yarn(4.0, 256)
    assert checked(Yarn(4.0), header(llama__rope__scaling__type=(8, "none"))) == Yarn(4.0, 256)
    assert checked(Yarn(4.0, 128), header(llama__rope__scaling__factor=(6, 1.0))) == Yarn(4.0, 128)
    assert Yarn(4.0, 32_768).tokens(40_960) == 131_072
    assert (Yarn(4.0).tokens(256), NO_YARN.tokens(256)) == (1024, 256)


@pytest.mark.parametrize("tokens", [63, 257, -1])
def test_what_is_stretched_lies_within_the_file(tokens: int) -> None:
    with pytest.raises(ValueError, match="must be 64 to 256, the file's own"):
        checked(Yarn(4.0, tokens), header())


@pytest.mark.parametrize("yarn", [NO_YARN, Yarn(1.1, 32_768), Yarn(64.0, 2**24)])
def test_a_worker_is_told_it_in_a_word(yarn: Yarn) -> None:
    assert read_yarn(str(yarn)) == yarn


def test_a_config_blob_says_it_in_hugging_faces_words() -> None:
    config = written(Yarn(4.0, 32_768))
    assert config == {
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
    }
    assert yarn_in(config) == Yarn(4.0, 32_768)
    assert (written(NO_YARN), yarn_in({})) == ({}, NO_YARN)


@pytest.mark.parametrize(
    "stated", [{"type": "linear", "factor": 4}, {"type": "yarn"}, {"type": "yarn", "factor": "4"}, 4, "yarn", [],
               {"type": "yarn", "factor": 0.5}, {"type": "yarn", "factor": 1e9},
               {"type": "yarn", "factor": 4, "original_max_position_embeddings": 0},
               {"type": "yarn", "factor": 4, "original_max_position_embeddings": True}, {"type": "yarn", "factor": 4}]
)  # fmt: skip
def test_a_scaling_that_nobody_knows_is_not_served_without(stated: object) -> None:
    with pytest.raises(ValueError, match="states a"):
        yarn_in({"rope_scaling": stated})


def test_a_model_of_its_own_over_the_same_file(tmp_path: Path) -> None:
    store, file = ModelStore(tmp_path / "models"), tmp_path / "m.gguf"
    file.write_bytes(model_bytes())
    plain = store.import_gguf(file, "tiny")
    long = store.import_gguf(file, "tiny:long", adds=Additions(yarn=Yarn(4.0)))
    assert plain.file == long.file
    assert (plain.yarn, long.yarn, store.find("tiny:long").yarn) == (NO_YARN, Yarn(4.0, 256), Yarn(4.0, 256))
    assert [store.card(each).details.context_length for each in (plain, long)] == [256, 1024]
    store.remove("tiny")
    store.verify("tiny:long")
    with pytest.raises(StoreFault, match="YaRN factor is 1000"):
        store.import_gguf(file, "tiny:huge", adds=Additions(yarn=Yarn(1000.0)))
    assert [each.name.display for each in store.scan()[0]] == ["tiny:long"]


def test_a_served_name_is_not_stretched_or_let_go_in_passing(tmp_path: Path) -> None:
    store, file = ModelStore(tmp_path / "models"), tmp_path / "m.gguf"
    file.write_bytes(model_bytes())
    store.import_gguf(file, "tiny")
    store.import_gguf(file, "tiny", adds=Additions(system="new words"))
    with pytest.raises(StoreFault, match="another model already"):
        store.import_gguf(file, "tiny", adds=Additions(yarn=Yarn(4.0)))
    store.import_gguf(file, "tiny:long", adds=Additions(yarn=Yarn(4.0)))
    for other in (Additions(), Additions(yarn=Yarn(2.0)), Additions(yarn=Yarn(4.0, 128))):
        with pytest.raises(StoreFault, match="another model already"):
            store.import_gguf(file, "tiny:long", adds=other)
    assert [each.yarn for each in store.scan()[0]] == [NO_YARN, Yarn(4.0, 256)]


def test_what_is_shown_is_what_a_file_would_state() -> None:
    info = shown_info(header(), Yarn(4.0, 128))
    assert info["llama.context_length"] == 512
    assert {key: info[f"llama.rope.scaling.{key}"] for key in ("type", "factor", "original_context_length")} == {
        "type": "yarn",
        "factor": 4.0,
        "original_context_length": 128,
    }
    assert shown_info(header())["llama.context_length"] == 256


def test_a_store_that_states_an_unknown_scaling_says_so(tmp_path: Path) -> None:
    store, file = ModelStore(tmp_path / "models"), tmp_path / "m.gguf"
    file.write_bytes(model_bytes())
    entry = store.import_gguf(file, "tiny", adds=Additions(yarn=Yarn(2.0)))
    blob = tmp_path / "models/blobs" / entry.manifest.config.digest.replace(":", "-")
    blob.write_text(json.dumps(entry.config | {"rope_scaling": {"type": "linear", "factor": 2}}))
    models, (fault,) = store.scan()
    assert not models
    assert "tiny:latest states a rope scaling that is not YaRN" in str(fault)


def test_the_plan_goes_by_the_stretched_context() -> None:
    plain, long = model_size_of(SMOLLM2), model_size_of(SMOLLM2, Yarn(4.0, 8192))
    assert all_else(plain) == all_else(long)
    assert (plain.context_length, long.context_length) == (8192, 32_768)
    stated = Overrides(slots=1, context_tokens=32_768)
    plan = fit(long, machine(8 * GIB), stated)
    assert plan.shape.context_tokens == 32_768
    told = [line.text for line in explain(plan, long, machine(8 * GIB), stated)]
    assert "context 32768 tokens a slot (config.yaml; 32768 after YaRN, 4 times 8192)" in told


def all_else(size: object) -> dict[str, object]:
    names = (name for name in getattr(size, "__struct_fields__", ()) if name not in {"context_length", "yarn"})
    return {name: getattr(size, name) for name in names}
