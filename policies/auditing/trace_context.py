"""The trace that a request belongs to, from its `traceparent` header (W3C Trace Context, section 3.2).

Only the trace id is taken, and only from a header of the form that the standard gives: 32 hex digits that are not all
zero, once. Anything else is no trace; it never stops a request.
"""

import re
from collections.abc import Iterable

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_VERSION_0_LENGTH = 55


def read_trace_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The trace id among raw headers, empty where there is none that can be used."""
    found = [value.strip() for name, value in headers if name.lower() == b"traceparent"]
    match = _TRACEPARENT.fullmatch(found[0]) if len(found) == 1 else None
    if match is None or (found[0].startswith(b"00") and len(found[0]) != _VERSION_0_LENGTH):
        return ""
    return match[1].decode("ascii")
