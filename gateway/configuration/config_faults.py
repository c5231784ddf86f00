"""Holds a YAML tree against a type, and says every fault in words an operator understands.

Values are never repeated in a fault: somebody may have put a secret where it does not belong.
"""

import dataclasses
import difflib
import functools
import json
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from gateway.configuration.yaml_tree import Misfit, Path, Tree

T = TypeVar("T")
ROUNDS = 8
"""How often the faulty parts are taken out to see whether the rest holds more; each round removes something."""

TEXTS = {
    "missing": "is required",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a text (in quotes, if it looks like something else)",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "dataclass_type": "must be a mapping of keys to values",
}


_adapter: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)
"""Made once: it takes as long as reading a policy, and a policy is read again while requests run."""


class Misfits(Exception):
    """A tree does not fit; `found` is everything that is wrong with it."""

    def __init__(self, found: list[Misfit]) -> None:
        super().__init__(f"{len(found)} misfits")
        self.found = found


def fit(tree: Tree, kind: type[T], spanning: Callable[[T], Iterable[Misfit]]) -> T:
    """The tree as a `kind`. Raises Misfits: of single values, and what `spanning` finds between them.

    Parts that do not fit are taken out and the rest is judged again, so that one fault does not hide
    another.
    """
    misfits = list(tree.misfits)
    data = tree.data
    adapter: TypeAdapter[T] = _adapter(kind)
    for _ in range(ROUNDS):
        try:
            value = _validate(data, kind, adapter)
        except Misfits as wrong:
            misfits += [each for each in wrong.found if each not in misfits and not _was_taken_out(each, misfits)]
            data = functools.reduce(_without, [misfit.path for misfit in wrong.found], data)
            continue
        misfits += spanning(value)
        if not misfits:
            return value
        break
    raise Misfits(misfits)


def _was_taken_out(misfit: Misfit, known: list[Misfit]) -> bool:
    """Whether a key is missing only because what stood there was at fault."""
    depth = len(misfit.path)
    return misfit.text == TEXTS["missing"] and any(each.path[:depth] == misfit.path for each in known)


def _validate(data: Any, kind: type[T], adapter: TypeAdapter[T]) -> T:
    """The data as a `kind`. Raises Misfits."""
    try:
        # JSON, because only there strict validation takes a list for a tuple and a mapping for a dataclass.
        return adapter.validate_json(json.dumps(data), strict=True)
    except ValidationError as errors:
        found = [_misfit(error, kind) for error in errors.errors(include_url=False, include_input=False)]
    raise Misfits(found)


def _misfit(error: Any, kind: Any) -> Misfit:
    path: Path = tuple(error["loc"])
    if error["type"] == "unexpected_keyword_argument":
        return Misfit(path, _unknown_key(path, kind))
    if error["type"] == "value_error":
        return Misfit(path, str(error["ctx"]["error"]))
    if error["type"] == "literal_error":
        return Misfit(path, f"must be {error['ctx']['expected']}")
    return Misfit(path, TEXTS.get(error["type"], f"does not fit: {error['type'].replace('_', ' ')}"))


def _unknown_key(path: Path, kind: Any) -> str:
    known = keys_at(kind, path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    return f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known are {', '.join(sorted(known))}"


def keys_at(kind: Any, path: Path) -> list[str]:
    """The keys a mapping at `path` of a `kind` may have; none when it is not a dataclass."""
    for step in path:
        kind = _inner(_plain(kind), step)
    kind = _plain(kind)
    return [field.name for field in dataclasses.fields(kind) if field.init] if dataclasses.is_dataclass(kind) else []


def _inner(kind: Any, step: str | int) -> Any:
    """The type one step further in."""
    if dataclasses.is_dataclass(kind):
        return typing.get_type_hints(kind).get(str(step))
    parameters = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        return parameters[1]
    return parameters[0] if parameters else None


def _plain(kind: Any) -> Any:
    """`X` for `X | None`, anything else as it is."""
    if typing.get_origin(kind) not in (types.UnionType, typing.Union):
        return kind
    members = [member for member in typing.get_args(kind) if member is not types.NoneType]
    return members[0] if len(members) == 1 else kind


def _without(data: Any, path: Path) -> Any:
    """`data` without what stands at `path`; a list goes whole, or its other places would change their numbers."""
    if not path or not isinstance(data, dict) or path[0] not in data:
        return data
    key = path[0]
    inner = data[key]
    if len(path) > 1 and isinstance(inner, dict):
        pruned = _without(inner, path[1:])
        if pruned != inner:
            return data | {key: pruned}
    return {name: value for name, value in data.items() if name != key}
