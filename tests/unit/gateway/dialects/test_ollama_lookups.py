import json
from typing import Any

import ollama
import pytest

from gateway.dialects.contract import Answer, Lookup
from gateway.dialects.ollama_lookups import read_ps, read_root, read_show, read_status, read_tags, read_version
from policies.call import ModelCard, ModelDescription, ModelDetails
from policies.errors import BadRequest, ModelUnknown

DETAILS = ModelDetails("gguf", "llama", ("llama",), "134.5M", "Q4_1", 8192, 576)
OLD = ModelCard(
    name="old:latest", digest="a" * 64, size_bytes=5, modified_at=1_700_000_000.0, details=DETAILS, slots=8,
    slot_context_tokens=4096, capabilities=("completion", "tools"),
)  # fmt: skip
NEW = ModelCard(name="new:1b", digest="b" * 64, size_bytes=6, modified_at=1_750_000_000.5)
WRITTEN = {
    "name": "old:latest",
    "model": "old:latest",
    "size": 5,
    "digest": "a" * 64,
    "details": {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "134.5M",
        "quantization_level": "Q4_1",
        "context_length": 8192,
        "embedding_length": 576,
    },
}


def body(answer: Answer) -> Any:
    assert answer.status == 200
    return json.loads(answer.body)


def test_fixed_answers() -> None:
    root = read_root(None, "")
    assert (root.status, root.body, root.content_type) == (200, b"Ollama is running", "text/plain; charset=utf-8")
    assert body(read_version(None, "")) == {"version": "0.33.0"}
    assert body(read_status(None, "")) == {"cloud": {"disabled": True, "source": "env"}}


def test_tags_newest_first() -> None:
    lookup = read_tags(None, "")
    assert (lookup.model, lookup.describe) == (None, False)
    found = body(lookup.answer((OLD, NEW), None))
    assert [model["name"] for model in found["models"]] == ["new:1b", "old:latest"]
    assert found["models"][1] == WRITTEN | {
        "modified_at": "2023-11-14T22:13:20.000000000Z",
        "capabilities": ["completion", "tools"],
    }
    assert found["models"][0]["details"]["families"] is None
    assert ollama.ListResponse.model_validate(found).models[1].size == 5
    assert body(lookup.answer((), None)) == {"models": []}


def test_ps_shows_models_with_slots() -> None:
    found = body(read_ps(None, "").answer((NEW, OLD), None))
    assert found == {
        "models": [WRITTEN | {"expires_at": "2262-04-11T23:47:16Z", "size_vram": 0, "context_length": 4096}]
    }
    ollama.ProcessResponse.model_validate(found)


DESCRIPTION = ModelDescription(
    info={
        "general.architecture": "llama",
        "general.name": "secret project",
        "tokenizer.chat_template": "{{ x }}",
        "tokenizer.ggml.tokens": ["a"] * 6,
        "llama.rope": [1, 2, 3, 4, 5],
        "llama.context_length": 8192,
    },
    template="{{ messages }}",
    system="the secret SYSTEM",
    license="the licence",
    parameters='stop                           "<|im_end|>"\n\nnum_ctx                        4096',
)


def test_show() -> None:
    lookup = read_show({"model": "old", "verbose": True, "options": {}}, "")
    assert (lookup.model, lookup.describe) == ("old", True)
    found = body(lookup.answer((OLD,), DESCRIPTION))
    assert found == {
        "modelfile": 'FROM old:latest\nTEMPLATE """{{ messages }}"""\n'
        'PARAMETER stop                           "<|im_end|>"\nPARAMETER num_ctx                        4096\n',
        "parameters": DESCRIPTION.parameters,
        "template": "{{ messages }}",
        "details": WRITTEN["details"],
        "model_info": {
            "general.architecture": "llama",
            "tokenizer.ggml.tokens": None,
            "llama.rope": [1, 2, 3, 4, 5],
            "llama.context_length": 8192,
        },
        "capabilities": ["completion", "tools"],
        "modified_at": "2023-11-14T22:13:20.000000000Z",
    }
    assert "secret" not in json.dumps(found)
    assert ollama.ShowResponse.model_validate(found).capabilities == ["completion", "tools"]


def test_show_always_has_model_info() -> None:
    found = body(read_show({"model": "new"}, "").answer((NEW,), None))
    assert found["model_info"] == {}
    assert found["modelfile"] == "FROM new:1b\n"
    assert "template" not in found
    ollama.ShowResponse.model_validate(found)


def test_show_takes_the_older_name() -> None:
    def wanted(**fields: str) -> str | None:
        lookup = read_show(fields, "")
        assert isinstance(lookup, Lookup)
        return lookup.model

    assert wanted(name="old") == "old"
    assert wanted(name="old", model="") == "old"
    assert wanted(name="old", model="new") == "new"


def test_show_refuses() -> None:
    with pytest.raises(BadRequest) as refused:
        read_show(None, "")
    assert refused.value.text == "model is required"
    with pytest.raises(BadRequest):
        read_show({"model": 1}, "")
    with pytest.raises(ModelUnknown):
        read_show({"model": "../../etc"}, "")
