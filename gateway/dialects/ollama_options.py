"""Ollama's `options` object: which keys exist, what type each has, and the range it is clamped to.

Rules: a wrong type is refused with Ollama's text; a number out of range is clamped, since unmodified
clients send all sorts and Ollama takes them; runner options (`num_ctx` and the like) are checked and
then ignored, because their change reloads the model under everybody else; keys of older versions and
unknown keys are ignored unchecked; null is unset. A float of integer value is an integer.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gateway.dialects.fields import MAX_INTEGER
from policies.call import Sampling
from policies.errors import BadRequest

MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_OUTPUT_TOKENS = 2**20
"""More than any context; the engine's own bound is lower."""
SEEDS = 2**32 - 1
"""llama.cpp's seed is 32 bits and its highest value means "draw one"."""

_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "repeat_penalty": (0.01, 100.0),  # logits are divided by it
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
_INTEGER_RANGES: dict[str, tuple[int, int]] = {"top_k": (0, 2**20), "repeat_last_n": (-1, 2**20)}
_CHECKED_INTEGERS = ("num_keep", "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict")
_CHECKED_BOOLEANS = ("use_mmap",)


class OllamaOptions(Struct, frozen=True):
    """What `options` asks of one request. `max_output_tokens` None: until the model stops."""

    sampling: Sampling = Sampling()
    max_output_tokens: int | None = None


def read_options(options: dict[str, Any]) -> OllamaOptions:
    """`options` checked and clamped. Raises BadRequest."""
    given = {key: value for key, value in options.items() if value is not None}
    for key in _CHECKED_INTEGERS:
        _read(given, key, _integer, None)
    for key in _CHECKED_BOOLEANS:
        _read(given, key, _boolean, None)
    found: dict[str, Any] = {}
    for key, (low, high) in _RANGES.items():
        if (number := _read(given, key, _number, None)) is not None:
            found[key] = min(max(number, low), high)
    for key, (least, most) in _INTEGER_RANGES.items():
        if (whole := _read(given, key, _integer, None)) is not None:
            found[key] = min(max(whole, least), most)
    found["seed"] = seed_of(_read(given, "seed", _integer, -1))
    found["stop"] = stops_of(_read(given, "stop", _strings, []))
    return OllamaOptions(Sampling(**found), _output_tokens(_read(given, "num_predict", _integer, -1)))


def seed_of(seed: int | None) -> int | None:
    """The engine's seed for a client's; -1 asks for a fresh one, others are folded into 32 bits."""
    return None if seed is None or seed == -1 else seed % SEEDS


def stops_of(stops: list[str]) -> tuple[str, ...]:
    """Stop strings within their bounds; an empty one would stop everything and is left out."""
    if len(stops) > MAX_STOPS or any(len(stop) > MAX_STOP_CHARS for stop in stops):
        raise BadRequest(
            "stop_too_large", f"stop takes at most {MAX_STOPS} strings of at most {MAX_STOP_CHARS} characters"
        )
    return tuple(stop for stop in stops if stop)


def _output_tokens(num_predict: int) -> int | None:
    # 0 and below mean "no bound of the caller's": Ollama's runner tests for > 0.
    return min(num_predict, MAX_OUTPUT_TOKENS) if num_predict > 0 else None


def _read(given: dict[str, Any], key: str, read: Callable[[str, Any], Any], default: Any) -> Any:
    return read(key, given[key]) if key in given else default


def _integer(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or abs(value) > MAX_INTEGER:
        raise _wrong(key, "integer")
    return int(value)


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(key, "float32")
    return float(value)


def _boolean(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, "boolean")
    return value


def _strings(key: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise _wrong(key, "array")
    return value


def _wrong(key: str, kind: str) -> BadRequest:
    return BadRequest("option_type", f'option "{key}" must be of type {kind}')
