"""JSON and JSON schemas become a grammar (GBNF) that holds the model's output to them.

The translation itself is llama-cpp-python's, handed in; it trusts its input, so a schema is bounded and
made plain before it gets there:

 (1) bounds on size, depth, enums, properties, patterns and repetitions, because the grammar writes each
     repetition out
 (2) every `$ref` within the document is replaced by what it names; a cycle, or a reference out of the document,
     is refused (the translator would mix up two definitions of one name)
 (3) property names and constants hold no quotation mark, backslash or control character: the translator does not
     escape them

Each refusal is one public sentence. Whether llama.cpp compiles the result is checked by the caller.
"""

import json
import re
from collections.abc import Callable
from typing import Any

MAX_SCHEMA_LENGTH = 64 * 1024
MAX_DEPTH = 32
MAX_NODES = 4096  # after references are replaced
MAX_PROPERTIES = 128  # in one object; the grammar grows with the square
MAX_ENUM_ITEMS = 512
MAX_PATTERN_LENGTH = 256
MAX_REPETITIONS = 256
MAX_GRAMMAR_LENGTH = 512 * 1024

# llama.cpp's grammars/json.gbnf, without room for endless white space.
JSON_OBJECT = r"""root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt/] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,3})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""

_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")
_PLAIN_TEXT = re.compile(r'[^"\\\x00-\x1f\x7f\U00010000-\U0010ffff]*\Z')  # the translator writes these as \u pairs
_QUANTIFIER = re.compile(r"\{\s*(\d*)\s*,?\s*(\d*)\s*\}")
_SUBSCHEMAS = ("oneOf", "anyOf", "allOf", "prefixItems")


class GrammarFault(Exception):
    """The format cannot be used; the message is public."""


def grammar_for(*, json_format: bool, schema: dict[str, Any] | None, translate: Callable[[str], str]) -> str:
    """The GBNF for a format, or empty for free text. `translate` turns a schema's JSON into GBNF."""
    if schema is None:
        return JSON_OBJECT if json_format else ""
    plain = json.dumps(plain_schema(schema))
    try:
        grammar = translate(plain)
    except (AssertionError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise GrammarFault("format: this JSON schema uses something that is not supported") from None
    if len(grammar) > MAX_GRAMMAR_LENGTH:
        raise GrammarFault("format: this JSON schema makes too large a grammar")
    return grammar


def plain_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` within the bounds, its references replaced. Raises GrammarFault."""
    try:
        length = len(json.dumps(schema))
    except (RecursionError, ValueError, TypeError):
        raise GrammarFault("format: this JSON schema is nested too deep") from None
    if length > MAX_SCHEMA_LENGTH:
        raise GrammarFault(f"format: a JSON schema may have at most {MAX_SCHEMA_LENGTH} characters")
    return _Plain(schema).visit(schema, 0, ())


class _Plain:
    """Walks one schema, replacing references and counting what it makes."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._nodes = 0

    def visit(self, schema: Any, depth: int, followed: tuple[str, ...]) -> dict[str, Any]:
        """A copy of `schema` that the translator can be given. `followed` are the references on the way here."""
        self._count(depth)
        if not isinstance(schema, dict):
            raise GrammarFault("format: every part of a JSON schema must be an object")
        if "$ref" in schema:
            reference = schema["$ref"]
            return self.visit(self._named(reference, followed), depth + 1, (*followed, reference))
        _check_values(schema)
        plain = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        for key in _SUBSCHEMAS:
            if key in plain:
                plain[key] = [self.visit(part, depth + 1, followed) for part in _list_of(plain[key], key)]
        if "properties" in plain:
            plain["properties"] = self._properties(plain["properties"], depth, followed)
        return self._nested(plain, depth, followed)

    def _properties(self, value: Any, depth: int, followed: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > MAX_PROPERTIES:
            raise GrammarFault(f"format: properties must be an object with at most {MAX_PROPERTIES} members")
        for name in value:
            _check_plain(name, "property names")
        return {name: self.visit(part, depth + 1, followed) for name, part in value.items()}

    def _nested(self, plain: dict[str, Any], depth: int, followed: tuple[str, ...]) -> dict[str, Any]:
        items, additional = plain.get("items"), plain.get("additionalProperties")
        if isinstance(items, list):
            plain["items"] = [self.visit(part, depth + 1, followed) for part in items]
        elif items is True or items == {}:
            del plain["items"]  # any item; the translator takes an empty schema for none at all
        elif items is not None:
            plain["items"] = self.visit(items, depth + 1, followed)
        if additional is not None and not isinstance(additional, bool):
            plain["additionalProperties"] = self.visit(additional, depth + 1, followed)
        return plain

    def _named(self, reference: Any, followed: tuple[str, ...]) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise GrammarFault("format: a $ref must begin with '#/'")
        if reference in followed:
            raise GrammarFault("format: a $ref may not lead back to itself")
        target: Any = self._document
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or key not in target:
                raise GrammarFault("format: a $ref names nothing in this schema")
            target = target[key]
        return target

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise GrammarFault(f"format: a JSON schema may have {MAX_DEPTH} levels and {MAX_NODES} parts")


def _check_values(schema: dict[str, Any]) -> None:
    for key in _COUNTS:
        value = schema.get(key, 0)
        if type(value) is not int or not 0 <= value <= MAX_REPETITIONS:
            raise GrammarFault(f"format: {key} must be a number from 0 to {MAX_REPETITIONS}")
    constants = [*_list_of(schema.get("enum", []), "enum"), schema.get("const")]
    if len(constants) > MAX_ENUM_ITEMS:
        raise GrammarFault(f"format: an enum may have at most {MAX_ENUM_ITEMS} items")
    for constant in constants:
        if isinstance(constant, dict | list):
            raise GrammarFault("format: an enum or const may hold texts, numbers, booleans and null")
        _check_plain(constant, "constants")
    _check_pattern(schema.get("pattern", "^$"))


def _check_pattern(pattern: Any) -> None:
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_LENGTH:
        raise GrammarFault(f"format: a pattern may have at most {MAX_PATTERN_LENGTH} characters")
    counts = [count for found in _QUANTIFIER.findall(pattern) for count in found if count]
    if any(len(count) > 6 or int(count) > MAX_REPETITIONS for count in counts):
        raise GrammarFault(f"format: a pattern may repeat at most {MAX_REPETITIONS} times")


def _check_plain(value: Any, what: str) -> None:
    if isinstance(value, str) and not _PLAIN_TEXT.match(value):
        raise GrammarFault(f"format: {what} may not hold quotation marks, backslashes, control characters or emoji")


def _list_of(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise GrammarFault(f"format: {key} must be a list")
    return value
