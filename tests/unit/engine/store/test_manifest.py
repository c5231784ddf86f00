import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.gguf_header import parse_header
from engine.store.manifest import (
    CONFIG_TYPE,
    MODEL_LAYER,
    Layer,
    Manifest,
    check_supported,
    details_in,
    read_config,
    read_manifest,
    write_config,
    write_manifest,
)
from tests.unit.engine.tiny_gguf import model_bytes

DIGEST = "sha256:" + "a" * 64
CONFIG = Layer(CONFIG_TYPE, "sha256:" + "b" * 64, 10)
MODEL = Layer(MODEL_LAYER, DIGEST, 1000)


def altered(**changes: Any) -> bytes:
    return json.dumps(json.loads(write_manifest(CONFIG, (MODEL,))) | changes).encode()


def test_a_manifest_reads_back() -> None:
    manifest = read_manifest(write_manifest(CONFIG, (MODEL,)))
    assert manifest == Manifest(CONFIG, (MODEL,))
    assert manifest.model == MODEL
    assert manifest.digests == {MODEL.digest, CONFIG.digest}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        altered(schemaVersion=1),
        altered(layers=None),
        altered(config=None),
        altered(layers=[{"mediaType": "x", "digest": "sha256:../../etc/passwd", "size": 1}]),
        altered(layers=[{"mediaType": "x", "digest": "sha256:" + "A" * 64, "size": 1}]),
        altered(layers=[{"mediaType": "x", "digest": DIGEST + "\n", "size": 1}]),
        altered(layers=[{"mediaType": "x", "digest": DIGEST, "size": "1"}]),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="manifest"):
        read_manifest(data)


@pytest.mark.parametrize("count", [0, 2])
def test_exactly_one_model_layer(count: int) -> None:
    with pytest.raises(ValueError, match="model layers"):
        _ = Manifest(CONFIG, (MODEL,) * count).model


def test_what_cannot_be_served_as_itself_is_named() -> None:
    draft = Layer("application/vnd.ollama.image.draft", DIGEST, 1)
    with pytest.raises(ValueError, match="draft"):
        check_supported(Manifest(CONFIG, (MODEL, draft)), {})
    with pytest.raises(ValueError, match="elsewhere"):
        check_supported(Manifest(CONFIG, (MODEL,)), {"remote_host": "https://ollama.com"})
    check_supported(Manifest(CONFIG, (MODEL,)), {})


def test_at_most_one_adapter_layer() -> None:
    adapter = Layer("application/vnd.ollama.image.adapter", DIGEST, 1)
    assert Manifest(CONFIG, (MODEL,)).adapter is None
    assert Manifest(CONFIG, (MODEL, adapter)).adapter == adapter
    with pytest.raises(ValueError, match="2 adapter layers"):
        _ = Manifest(CONFIG, (MODEL, adapter, adapter)).adapter


def test_at_most_one_projector_layer() -> None:
    projector = Layer("application/vnd.ollama.image.projector", DIGEST, 1)
    assert Manifest(CONFIG, (MODEL,)).projector is None
    assert Manifest(CONFIG, (MODEL, projector)).projector == projector
    with pytest.raises(ValueError, match="2 projector layers"):
        _ = Manifest(CONFIG, (MODEL, projector, projector)).projector


def test_a_config_reads_back() -> None:
    data = model_bytes()
    config = read_config(write_config(parse_header(io.BytesIO(data), len(data)), DIGEST))
    details = details_in(config)
    assert (details.format, details.family, details.families) == ("gguf", "llama", ("llama",))
    assert (details.quantization_level, details.context_length, config["capabilities"]) == ("Q4_1", 256, ["completion"])
    assert config["rootfs"]["diff_ids"] == [DIGEST]
    assert details_in({"model_family": 1, "context_length": -1, "embedding_length": "x"}).family == ""


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_json_raises_anything_else(document: Any) -> None:
    try:
        read_manifest(json.dumps(document).encode())
    except ValueError:
        return
