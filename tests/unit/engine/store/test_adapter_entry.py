import json
from typing import Any

import pytest

from engine.store.adapter_entry import Entry, adapter_layers, base_of, write_adapter_config
from engine.store.manifest import ADAPTER_LAYER, CONFIG_TYPE, MODEL_LAYER, Layer, Manifest
from engine.store.model_name import parse_model_name
from engine.store.yarn import NO_YARN, Yarn, written

CONFIG = Layer(CONFIG_TYPE, "sha256:" + "c" * 64, 10)
MODEL = Layer(MODEL_LAYER, "sha256:" + "a" * 64, 1000)
OTHER = Layer(MODEL_LAYER, "sha256:" + "d" * 64, 1000)
ADAPTER = Layer(ADAPTER_LAYER, "sha256:" + "b" * 64, 50)
OWN = Manifest(CONFIG, (MODEL, ADAPTER))


def entry(name: str, *layers: Layer, yarn: Yarn = NO_YARN) -> Entry:
    return Entry(parse_model_name(name), Manifest(CONFIG, layers), yarn)


@pytest.mark.parametrize(
    ("config", "entries", "found"),
    [
        ({}, [entry("z:1", MODEL), entry("B:1", MODEL), entry("a:1", OTHER)], "B:1"),
        ({"base_name": "Z:1"}, [entry("b:1", MODEL), entry("z:1", MODEL)], "z:1"),
        ({"base_name": "a:1"}, [entry("b:1", MODEL), entry("a:1", OTHER)], "b:1"),  # it holds other weights by now
        ({"base_name": 7}, [entry("b:1", MODEL)], "b:1"),
        ({}, [entry("a:1", MODEL, ADAPTER), entry("b:1", MODEL)], "b:1"),  # an adapter is no base
        ({}, [entry("a:1"), entry("b:1", MODEL, ADAPTER, ADAPTER), entry("c:1", MODEL)], "c:1"),  # broken neighbours
    ],
)
def test_the_base_is_the_plain_entry_of_the_same_file(config: dict[str, Any], entries: list[Entry], found: str) -> None:
    assert base_of(OWN, config, entries) == found


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({}, "t:latest"),
        ({"base_name": "t:128k"}, "t:128k"),
        (written(Yarn(4.0, 256)), "t:128k"),
        (written(Yarn(2.0, 256)), "t:128k"),  # neither is: the first by name
    ],
)
def test_of_two_names_over_one_file_the_adapter_has_the_one_it_was_made_for(config: dict[str, Any], found: str) -> None:
    entries = [entry("t:128k", MODEL, yarn=Yarn(4.0, 256)), entry("t:latest", MODEL)]
    assert base_of(OWN, config, entries) == found


def test_without_one_the_adapter_cannot_be_served() -> None:
    with pytest.raises(ValueError, match="base model is not in this store"):
        base_of(OWN, {"base_name": "a:1"}, [entry("a:1", OTHER), entry("b:1", MODEL, ADAPTER)])


def test_an_adapter_is_its_bases_layer_and_its_own() -> None:
    assert adapter_layers(Manifest(CONFIG, (MODEL,)), ADAPTER.digest, 50) == (MODEL, ADAPTER)


def test_the_config_is_the_bases_and_tells_whose_it_is() -> None:
    base = {"model_family": "llama"}
    told = json.loads(write_adapter_config(base, "tiny:1", (MODEL, ADAPTER)))
    assert told["model_family"] == "llama"
    assert told["base_name"] == "tiny:1"
    assert told["rootfs"]["diff_ids"] == [MODEL.digest, ADAPTER.digest]
