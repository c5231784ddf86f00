"""Checks a value against a JSON schema, by the keywords that generated ones use; another keyword is an error."""

import re
from typing import Any

KNOWN = frozenset(
    {
        "$defs", "$id", "$ref", "$schema", "additionalProperties", "anyOf", "const", "deprecated", "enum", "items",
        "maxLength", "maximum", "minimum", "pattern", "properties", "required", "title", "type",
    }
)  # fmt: skip
TYPES = {"string": str, "integer": int, "number": int | float, "boolean": bool, "object": dict, "array": list}


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = "$") -> list[str]:
    """What is wrong with `value`, each with its place; nothing when it fits."""
    root = root or schema
    unknown = schema.keys() - KNOWN
    assert not unknown, f"{at}: the schema uses {unknown}"
    if "$ref" in schema:
        return faults(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    kind = TYPES.get(schema.get("type", ""), object)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        return [f"{at}: {value!r} is no {schema['type']}"]
    found = [f"{at}: {value!r} is not in {schema['enum']}" for _ in [0] if value not in schema.get("enum", [value])]
    found += [f"{at}: {value!r} is not {schema['const']}" for _ in [0] if schema.get("const", value) != value]
    if isinstance(value, str):
        found += _text_faults(value, schema, at)
    if isinstance(value, dict):
        found += _object_faults(value, schema, root, at)
    if isinstance(value, list):
        for place, item in enumerate(value):
            found += faults(item, schema.get("items", {}), root, f"{at}[{place}]")
    return found


def _text_faults(value: str, schema: dict[str, Any], at: str) -> list[str]:
    found = [] if len(value) <= schema.get("maxLength", len(value)) else [f"{at}: too long"]
    return found if re.search(schema.get("pattern", ""), value) else [*found, f"{at}: {value!r} has not the form"]


def _object_faults(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    properties = schema.get("properties", {})
    found = [f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value]
    choices = [choice["required"] for choice in schema.get("anyOf", [])]
    if choices and not any(all(name in value for name in names) for names in choices):
        found.append(f"{at}: none of {choices}")
    for name, inner in value.items():
        if name in properties:
            found += faults(inner, properties[name], root, f"{at}.{name}")
        elif schema.get("additionalProperties") is False:
            found.append(f"{at}: {name} is not known")
    return found
