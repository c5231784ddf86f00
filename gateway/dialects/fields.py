"""A parsed object becomes a route's typed request, or a BadRequest that names the field.

Rules: unknown fields are ignored, known ones checked; `null` means unset; a known field in other
letters (`Model`) is refused, because Go servers would read it and we would not. The text names the
field and what it must be, and never repeats the caller's value.
"""

import re
from typing import Any, TypeVar

import msgspec

from policies.errors import BadRequest

MAX_INTEGER = 2**53
"""Beyond it a number is not the same in every language that may read it."""

Request = TypeVar("Request", bound=msgspec.Struct)

_FAULT = re.compile(r"^Expected (?P<wanted>`[^`]+`[^,]*?)(?:, got `(?P<got>[^`]+)`)? - at `\$\.?(?P<field>[^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`(?: - at `\$\.?(?P<within>[^`]*)`)?$")
_JSON_NAMES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def read_fields(fields: dict[str, Any], kind: type[Request]) -> Request:
    """`fields` as a `kind`. Raises BadRequest."""
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    for key in fields:
        if key not in known and key.casefold() in known:
            raise BadRequest("field_case", f'field "{key.casefold()}" must be written in lower case')
    present = {key: value for key, value in fields.items() if value is not None and key in known}
    try:
        return msgspec.convert(present, kind)
    except msgspec.ValidationError as fault:
        raise BadRequest("field_invalid", _text(str(fault))) from None


def _text(fault: str) -> str:
    if found := _FAULT.match(fault):
        got = f", not {_json_names(found['got'])}" if found["got"] else ""
        return f'invalid field "{found["field"]}": must be {_json_names(found["wanted"])}{got}'
    if found := _MISSING.match(fault):
        within = f"{found['within']}." if found["within"] else ""
        return f'missing field "{within}{found["name"]}"'
    return "invalid request field"


def _json_names(words: str) -> str:
    plain = words.replace("`", "").replace(" | null", "").replace(" | ", " or ")
    return re.sub(r"\b(str|int|float|bool)\b", lambda word: _JSON_NAMES[word[0]], plain)
