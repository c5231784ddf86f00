"""The shape an answer is held to: Ollama's `format`, OpenAI's `response_format`."""

from typing import Any

import msgspec
from msgspec import Struct

from policies.call import Format
from policies.errors import BadRequest

MAX_SCHEMA_BYTES = 64 * 1024
"""A schema becomes a grammar; the preparer bounds that work, this bounds what reaches it."""


class JsonSchema(Struct):
    """`response_format.json_schema`; name and strictness change nothing here."""

    schema: dict[str, Any] | None = None


class ResponseFormat(Struct):
    """OpenAI's `response_format`."""

    type: str
    json_schema: JsonSchema | None = None


def ollama_format(value: Any) -> Format:
    """`"json"`, a JSON schema object, or nothing (null, empty text). Raises BadRequest."""
    if value is None or value == "":
        return Format()
    if value == "json":
        return Format("json")
    if isinstance(value, dict):
        return _schema(value)
    raise BadRequest("format_invalid", 'invalid format: expected "json" or a valid JSON Schema object')


def openai_format(wanted: ResponseFormat | None) -> Format:
    """`text`, `json_object` or `json_schema`. Raises BadRequest."""
    if wanted is None or wanted.type == "text":
        return Format()
    if wanted.type == "json_object":
        return Format("json")
    if wanted.type != "json_schema":
        raise BadRequest("format_invalid", "response_format.type must be text, json_object or json_schema")
    if wanted.json_schema is None or wanted.json_schema.schema is None:
        raise BadRequest("format_invalid", 'missing field "response_format.json_schema.schema"')
    return _schema(wanted.json_schema.schema)


def _schema(schema: dict[str, Any]) -> Format:
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        raise BadRequest("schema_too_large", f"the JSON schema is larger than {MAX_SCHEMA_BYTES} bytes")
    return Format("schema", schema)
