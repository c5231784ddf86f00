"""Reads tool calls out of the text between their markers, one function a style (see `engine.answers.answer_form`).

What a model writes is not trusted: anything that is not whole JSON of the right shape, or calls a function that was
not offered, makes the whole text no call. Bounded by the length of the text alone.
"""

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from engine.answers.answer_form import CALL_BEGIN, CALL_END, CALL_PARTS, CALLS_BEGIN, CALLS_END
from policies.call import ToolCall

MAX_CALLS = 64


class Style(Struct, frozen=True):
    """`opens`: any of these begins the calls; empty `closes`: they go on to the end of the answer.

    `leads`: only at the beginning of the answer, since the marker is ordinary text elsewhere.
    """

    opens: tuple[str, ...]
    closes: str
    leads: bool
    read: Callable[[str], Iterator[tuple[str, Any]]]


def read_calls(style: Style, text: str, offered: Collection[str]) -> tuple[ToolCall, ...]:
    """The calls in `text` (with its opening marker, without the closing one); none unless all of it is well formed."""
    try:
        found = list(style.read(text))
    except (ValueError, RecursionError):
        return ()
    calls = tuple(_call(name, arguments) for name, arguments in found[: MAX_CALLS + 1])
    is_good = len(calls) <= MAX_CALLS and all(call is not None and call.name in offered for call in calls)
    return tuple(call for call in calls if call is not None) if is_good else ()


def _call(name: object, arguments: object) -> ToolCall | None:
    if isinstance(arguments, str):  # some models write the object as a text
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(name, str) or not isinstance(arguments, dict) or not _can_be_written(arguments):
        return None
    return ToolCall(id="", name=name, arguments=arguments)


def _can_be_written(arguments: dict[Any, Any]) -> bool:
    """Whether the caller can be sent it: half a surrogate pair, which JSON can spell, is no UTF-8. The lists stand
    for what an answer puts around it."""
    try:
        msgspec.json.encode([[[[[[[[arguments]]]]]]]])
    except (ValueError, RecursionError):
        return False
    return True


def _hermes(text: str) -> Iterator[tuple[str, Any]]:
    return _objects(text.removeprefix("<tool_call>"))


def _llama(text: str) -> Iterator[tuple[str, Any]]:
    return _objects(text.removeprefix("<|python_tag|>"))


def _mistral(text: str) -> Iterator[tuple[str, Any]]:
    for part in text.split("[TOOL_CALLS]")[1:]:
        if part.lstrip().startswith("["):
            yield from _objects(part)
        else:
            yield _named(part)


def _named(part: str) -> tuple[str, Any]:
    """`name[CALL_ID]id[ARGS]{…}`; id and [ARGS] may be missing."""
    name, brace, rest = part.partition("{")
    name = name.partition("[CALL_ID]")[0].removesuffix("[ARGS]").strip()
    return name, json.loads(brace + rest)


def _deepseek(text: str) -> Iterator[tuple[str, Any]]:
    """`function`, parts, name, a fenced block (V3, R1); or name, parts, JSON (V3.1)."""
    for part in text.split(CALL_BEGIN)[1:]:
        name, _, rest = part.partition(CALL_END)[0].partition(CALL_PARTS)
        if name == "function":
            name, _, fenced = rest.partition("\n")
            rest = fenced.strip().removeprefix("```json").removesuffix("```")
        yield name.strip(), json.loads(rest)


_decoder = json.JSONDecoder()


def _objects(text: str) -> Iterator[tuple[str, Any]]:
    """Objects, or lists of them, one after another, between them nothing but space, `;` or `,`."""
    at = 0
    while (at := _skip(text, at)) < len(text):
        value, at = _decoder.raw_decode(text, at)
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                raise ValueError("a call is an object")
            yield each.get("name", ""), each.get("arguments", each.get("parameters"))


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n;,":
        at += 1
    return at


STYLES = {
    "hermes": Style(("<tool_call>",), "</tool_call>", leads=False, read=_hermes),
    "mistral": Style(("[TOOL_CALLS]",), "", leads=False, read=_mistral),
    "deepseek": Style((CALLS_BEGIN,), CALLS_END, leads=False, read=_deepseek),
    "llama": Style(("<|python_tag|>", "{"), "", leads=True, read=_llama),
}
