"""How much a model shall reason: Ollama's `think`, OpenAI's reasoning effort."""

from typing import Any, Literal

from gateway.dialects.quoting import quoted
from policies.errors import BadRequest

Think = bool | Literal["low", "medium", "high", "max"]

_LEVELS: dict[str, Think] = {"low": "low", "medium": "medium", "high": "high", "max": "max"}
_EFFORTS: dict[str, Think] = _LEVELS | {"none": False, "minimal": "low", "xhigh": "max", "ultra": "max"}


def read_think(value: Any) -> Think | None:
    """`think` of generate and chat; None leaves it to the model. Raises BadRequest."""
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise BadRequest(
            "think_type", 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'
        )
    if value not in _LEVELS:
        raise BadRequest(
            "think_value",
            f'invalid think value: "{quoted(value)}" (must be "high", "medium", "low", "max", true, or false)',
        )
    return _LEVELS[value]


def read_effort(effort: str | None) -> Think | None:
    """OpenAI's `reasoning_effort`. Raises BadRequest."""
    if effort is None:
        return None
    if effort not in _EFFORTS:
        names = ", ".join(_EFFORTS)
        raise BadRequest("effort_value", f"invalid reasoning_effort: must be one of {names}")
    return _EFFORTS[effort]
