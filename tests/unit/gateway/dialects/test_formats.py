from typing import Any

import pytest

from gateway.dialects.formats import JsonSchema, ResponseFormat, ollama_format, openai_format
from policies.call import Format
from policies.errors import BadRequest

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}}
HUGE: dict[str, Any] = {"enum": ["x" * 100] * 1000}


@pytest.mark.parametrize("given", [None, ""])
def test_no_format(given: Any) -> None:
    assert ollama_format(given) == Format()


def test_ollama() -> None:
    assert ollama_format("json") == Format("json")
    found = ollama_format(SCHEMA)
    assert found == Format("schema", SCHEMA)
    assert found.schema is not None
    assert list(found.schema["properties"]) == ["b", "a"]


@pytest.mark.parametrize("given", ["xml", 1, True, ["json"]])
def test_ollama_refuses(given: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        ollama_format(given)
    assert refused.value.text == 'invalid format: expected "json" or a valid JSON Schema object'


def test_openai() -> None:
    assert openai_format(None) == Format()
    assert openai_format(ResponseFormat("text")) == Format()
    assert openai_format(ResponseFormat("json_object")) == Format("json")
    assert openai_format(ResponseFormat("json_schema", JsonSchema(SCHEMA))) == Format("schema", SCHEMA)


@pytest.mark.parametrize(
    "given", [ResponseFormat("xml"), ResponseFormat("json_schema"), ResponseFormat("json_schema", JsonSchema())]
)
def test_openai_refuses(given: ResponseFormat) -> None:
    with pytest.raises(BadRequest):
        openai_format(given)


def test_a_schema_is_bounded() -> None:
    with pytest.raises(BadRequest) as refused:
        ollama_format(HUGE)
    assert refused.value.reason == "schema_too_large"
