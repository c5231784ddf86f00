"""How answers become bytes: JSON, lines of it, server-sent events, and times.

The three characters that JSON allows raw and `str.splitlines` cuts at (U+0085, U+2028, U+2029) are
escaped: ollama-python reads its stream through httpx, whose line reader cuts there, so that one of
them in a model's text would break the client's parser. Characters below 0x20 are escaped by JSON itself.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.dialects.contract import Answer

NDJSON = "application/x-ndjson"
JSON = "application/json; charset=utf-8"
EVENT_STREAM = "text/event-stream"
NS_PER_S = 1_000_000_000
DONE_EVENT = b"data: [DONE]\n\n"

_LINE_BREAKS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def json_bytes(value: Any) -> bytes:
    """`value` as one line of JSON in UTF-8, without its end."""
    data = msgspec.json.encode(value)
    for raw, escaped in _LINE_BREAKS:
        data = data.replace(raw, escaped)
    return data


def json_line(value: Any) -> bytes:
    """One line of an NDJSON stream."""
    return json_bytes(value) + b"\n"


def sse_event(value: Any) -> bytes:
    """One `data:` event of an SSE stream."""
    return b"data: " + json_bytes(value) + b"\n\n"


def json_answer(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A complete JSON reply."""
    return Answer(status=status, body=json_bytes(value), content_type=JSON, headers=headers)


def rfc3339(unix_ns: int) -> str:
    """UTC with nanoseconds: `2026-08-21T10:11:12.123456789Z`."""
    seconds, rest_ns = divmod(unix_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"
