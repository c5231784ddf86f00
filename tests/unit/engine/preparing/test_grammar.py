"""Any schema becomes a grammar that llama.cpp compiles, or one public sentence."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.llama import Vocabulary, check_grammar, load_vocabulary, schema_to_gbnf
from engine.preparing import grammar
from engine.preparing.grammar import JSON_OBJECT, GrammarFault, grammar_for, plain_schema
from tests.unit.engine.tiny_gguf import write_vocabulary

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": ["integer", "null"]},
        "kind": {"enum": ["a", "\u00fc", 3, None]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "code": {"type": "string", "pattern": "^[a-z]{2,5}$"},
        "home": {"$ref": "#/$defs/place"},
        "work": {"$ref": "#/$defs/place"},
    },
    "required": ["name"],
    "additionalProperties": {"type": "number"},
    "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    path: Path = tmp_path_factory.mktemp("vocabulary") / "tiny.gguf"
    return load_vocabulary(write_vocabulary(path))


def gbnf(schema: dict[str, Any]) -> str:
    return grammar_for(json_format=True, schema=schema, translate=schema_to_gbnf)


def test_text_json_and_a_schema(vocabulary: Vocabulary) -> None:
    assert grammar_for(json_format=False, schema=None, translate=schema_to_gbnf) == ""
    assert grammar_for(json_format=True, schema=None, translate=schema_to_gbnf) == JSON_OBJECT
    assert check_grammar(vocabulary, JSON_OBJECT)
    assert "city" in gbnf(PERSON)
    assert check_grammar(vocabulary, gbnf(PERSON))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"anyOf": [{"type": "string"}, {"type": "number"}]},
        {"allOf": [{"properties": {"a": {"type": "string"}}}]},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "array", "items": [{"type": "string"}]},
        {"type": "array", "items": True},
        {"type": "array", "items": {}},
        {"const": "x"},
        {"type": "object", "additionalProperties": False, "properties": {}},
    ],
)
def test_forms_of_schemas(vocabulary: Vocabulary, schema: dict[str, Any]) -> None:
    assert check_grammar(vocabulary, gbnf(schema))


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


LAUGHS = {f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 4} for level in range(20)}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"description": "x" * 70_000}, "at most 65536 characters"),
        (nested(40), "levels"),
        (nested(3000), "deep|levels"),
        ({"$ref": "#/$defs/d0", "$defs": LAUGHS | {"d20": {"type": "null"}}}, "parts"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}, "lead back"),
        ({"$ref": "#"}, "begin with"),
        ({"$ref": "https://example.com/schema"}, "begin with"),
        ({"$ref": 1}, "begin with"),
        ({"$ref": "#/$defs/none"}, "names nothing"),
        ({"$ref": "#/type/x", "type": "object"}, "names nothing"),
        ({"items": 5}, "must be an object"),
        ({"anyOf": {}}, "must be a list"),
        ({"properties": {str(i): {} for i in range(200)}}, "at most 128"),
        ({"properties": []}, "at most 128"),
        ({"properties": {'a"b': {}}}, "property names"),
        ({"const": 'a" | root'}, "constants"),
        ({"enum": ["a\\"]}, "constants"),
        ({"enum": ["\U0001f600"]}, "constants"),
        ({"enum": [{"a": 1}]}, "texts, numbers"),
        ({"enum": list(range(600))}, "at most 512"),
        ({"enum": 5}, "must be a list"),
        ({"maxLength": 10**9}, "maxLength"),
        ({"minItems": -1}, "minItems"),
        ({"maxItems": True}, "maxItems"),
        ({"pattern": "^" + "a" * 300 + "$"}, "at most 256 characters"),
        ({"pattern": "^a{100000}$"}, "repeat at most"),
        ({"pattern": "^a{1,999999999999}$"}, "repeat at most"),
        ({"pattern": 5}, "at most 256 characters"),
        ({"type": "string", "pattern": "no anchors"}, "not supported"),
        ({"type": "string", "pattern": "^(a$"}, ""),
        ({"type": "nonsense"}, "not supported"),
        ({"type": 5}, "not supported"),
        ({"type": "object", "properties": {"a": {}}, "required": 5}, "not supported"),
        ({"anyOf": [{}], "format": 5, "type": "string", "oneOf": []}, ""),
    ],
)
def test_what_is_refused_says_why(vocabulary: Vocabulary, schema: dict[str, Any], words: str) -> None:
    if not words:
        assert isinstance(gbnf(schema), str)
        return
    with pytest.raises(GrammarFault, match=words):
        gbnf(schema)


def test_a_grammar_that_grows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "MAX_GRAMMAR_LENGTH", 100)
    with pytest.raises(GrammarFault, match="too large"):
        gbnf(PERSON)


def test_references_are_replaced_and_escapes_read() -> None:
    plain = plain_schema({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}})
    assert plain == {"type": "null"}


SCALARS = st.none() | st.booleans() | st.integers(-5, 300) | st.text(max_size=8)
KEYS = st.sampled_from(
    (
        "type",
        "properties",
        "items",
        "anyOf",
        "enum",
        "const",
        "pattern",
        "$ref",
        "required",
        "maxLength",
        "minItems",
        "a",
        "format",
    )
)
VALUES = st.recursive(
    SCALARS | st.sampled_from(("object", "string", "array", "#/a", "^a*$", "date")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(schema=st.dictionaries(KEYS, VALUES, max_size=4))
def test_no_schema_raises_anything_else(vocabulary: Vocabulary, schema: dict[str, Any]) -> None:
    try:
        text = gbnf(schema)
    except GrammarFault:
        return
    check_grammar(vocabulary, text)
