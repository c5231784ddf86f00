"""The one JSON parser: a request body becomes one object, or is refused.

Rules, each against a way in which two parsers read one text differently or one of them falls over:

 1. Strict UTF-8, no byte order mark, one object, nothing after it.
 2. No key twice in an object, nor two keys that differ only in case: Go keeps the last of
    `{"model": "allowed", "MODEL": "secret"}`, Python the first, and an allowlist in between is void.
 3. At most MAX_DEPTH levels and MAX_VALUES values, counted before anything is built, so that neither
    the stack nor memory answers for the caller's brackets (8 MiB of `[],` would become 240 MB).
 4. No NaN, no Infinity, no number that overflows to one. An integer beyond 64 bits becomes the nearest
    float, as Go and JavaScript read it; fields that want an integer refuse it (`fields.py`).
 5. No lone surrogate: Python takes `"\\ud800"` in and cannot write it out as UTF-8.

Every fault is a BadRequest; its text never repeats what the caller sent.
"""

import json
import math
import re
from typing import Any, NoReturn

import msgspec

from policies.errors import BadRequest

MAX_DEPTH = 64
MAX_VALUES = 2**18
"""Strings, commas and brackets; a context of 128K token ids fits twice. The full number takes 0.1 s."""
MAX_NUMBER_CHARS = 400
"""int() takes quadratic time in the digits; no double has more than 309 before its point."""

_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1
# A string ends at its quote or, without one, at the end of the body: possessive, so linear for any input.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises BadRequest for anything else."""
    if not body.strip():
        raise BadRequest("body_missing", "missing request body")
    _check_shape(body)
    document = _parse(body)
    if not isinstance(document, dict):
        raise BadRequest("json_not_object", "invalid JSON: the request body must be an object")
    if _SURROGATE_ESCAPE.search(body):
        _check_surrogates(document)
    return document


def _check_shape(body: bytes) -> None:
    bones, strings = _STRING.subn(b"", body, count=MAX_VALUES + 1)
    brackets = bones.translate(None, _NO_BRACKETS)
    if strings + bones.count(b",") + len(brackets) > MAX_VALUES:
        raise BadRequest("json_too_many_values", "invalid JSON: too many values")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise BadRequest("json_too_deep", f"invalid JSON: more than {MAX_DEPTH} levels")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except UnicodeDecodeError:
        raise BadRequest("json_not_utf8", "invalid JSON: not UTF-8") from None
    except json.JSONDecodeError as fault:
        raise BadRequest("json_invalid", f"invalid JSON at character {fault.pos}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len({key.casefold() for key in found}) != len(pairs):
        raise BadRequest("json_duplicate_key", "invalid JSON: a key twice in one object, upper and lower case alike")
    return found


def _integer(digits: str) -> int | float:
    if len(digits) > MAX_NUMBER_CHARS:
        raise BadRequest("json_number_too_long", "invalid JSON: a number is too long")
    number = int(digits)
    return number if _INT64_MIN <= number <= _UINT64_MAX else _float(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadRequest("json_number_too_large", "invalid JSON: a number is too large")
    return number


def _constant(_name: str) -> NoReturn:
    raise BadRequest("json_not_finite", "invalid JSON: NaN and Infinity are no JSON numbers")


def _check_surrogates(document: dict[str, Any]) -> None:
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError:
        raise BadRequest("json_lone_surrogate", "invalid JSON: half of a surrogate pair") from None
