"""Invariant: any body is a BadRequest, or an object that Python's own parser reads alike and UTF-8 can hold."""

import json

from gateway.json_body import parse_object
from policies.errors import BadRequest

SEEDS = (
    b'{"model": "m", "messages": [{"role": "user", "content": "hello \\u00e9"}], "stream": false}',
    b'{"a": [1, -2.5e3, true, null, {"b": {"c": []}}], "d": 18446744073709551615}',
    b'{"options": {"num_ctx": 4096, "temperature": 0.1, "stop": ["\\n", "\\\\"]}}',
)


def one(data: bytes) -> None:
    """Parse one body."""
    try:
        parsed = parse_object(data)
    except BadRequest:
        return
    json.dumps(parsed, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(data, parse_int=_like_ours) == parsed


def _like_ours(text: str) -> float:
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(text)
