"""`keep_alive`: seconds as a number, or a Go duration as text. A hint, since its effect is on everybody.

Rules of Go's time.ParseDuration: an optional sign, then numbers each with a unit (ns, us, µs, ms, s, m, h),
fractions allowed; a bare "0" is the only number without a unit. Negative means forever, 0 unload now.
"""

import re
from typing import Any

from gateway.dialects.quoting import quoted
from policies.errors import BadRequest

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>[^0-9.]*)")
_GO_NAMES: dict[type, str] = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}
MAX_DURATION_CHARS = 80
MAX_DURATION_S = 2.0**63 / 1e9
"""Go's durations are 64-bit nanoseconds; what is beyond is its "invalid duration"."""


def read_keep_alive(value: Any) -> float | None:
    """Seconds, negative for ever, None when unset. Raises BadRequest with Ollama's words."""
    if value is None:
        return None
    if isinstance(value, str):
        return duration_s(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest("keep_alive_type", f"Unsupported type: '{_GO_NAMES[type(value)]}'")
    return float(value)


def duration_s(text: str) -> float:
    """A Go duration in seconds. Raises BadRequest in the words of Go's parser."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    if not rest or len(text) > MAX_DURATION_CHARS:
        raise _invalid(text)
    total_s = 0.0
    while rest:
        part = _PART.match(rest)
        if part is None:
            raise _invalid(text)
        total_s += float(part["number"]) * _unit_s(part["unit"], text)
        rest = rest[part.end() :]
    if total_s > MAX_DURATION_S:
        raise _invalid(text)
    return -total_s if text[0] == "-" else total_s


def _unit_s(unit: str, text: str) -> float:
    if not unit:
        raise BadRequest("keep_alive_unit", f'time: missing unit in duration "{quoted(text)}"')
    if unit not in _UNIT_S:
        raise BadRequest("keep_alive_unit", f'time: unknown unit "{quoted(unit)}" in duration "{quoted(text)}"')
    return _UNIT_S[unit]


def _invalid(text: str) -> BadRequest:
    return BadRequest("keep_alive_duration", f'time: invalid duration "{quoted(text)}"')
