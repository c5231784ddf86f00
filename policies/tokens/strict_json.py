"""JSON from a token, a key set or a discovery document: one object, read in one way only, or refused.

Refused, beside what is no JSON: a key twice in one object (two readers would take two values), NaN and
Infinity, a lone surrogate, nesting beyond the parser's stack, anything but one object. Size is the caller's
to bound before. A request's body has a stricter reader of its own (`gateway.json_body`).
"""

import json
from typing import Any, NoReturn


def read_strict_object(data: bytes) -> dict[str, Any]:
    """The object in `data` (UTF-8). Raises ValueError, whose text never repeats the data."""
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8")  # no lone surrogate, no 1e999
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as fault:
        raise ValueError(str(fault) if type(fault) is ValueError else type(fault).__name__) from None
    if not isinstance(document, dict):
        raise ValueError("not an object")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice in one object")
    return found


def _constant(_name: str) -> NoReturn:
    raise ValueError("not a number of JSON")
