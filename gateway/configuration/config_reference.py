"""Writes docs/configuration.md from the types that the two files are validated against.

The meaning of a key is the sentence of its class's docstring that names it in backticks, or the first
sentence of its own class. `python -m gateway.configuration.config_reference` writes the page, `--check` compares it and
ends with status 1 when it is stale.
"""

import argparse
import dataclasses
import re
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.configuration.settings import Config
from policies.policy import Policy

PAGE = Path("docs/configuration.md")
HEAD = """# Configuration

Two files, both YAML in UTF-8, in the home: `config.yaml` is the machine, `policy.yaml` is the people. Every key
may be left out unless its default is "required". An unknown key is a fault, and all faults of a file are
listed together, with their lines. This page is generated from the types:
`python -m gateway.configuration.config_reference`.
"""
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", types.NoneType: "null"}


class Undocumented(Exception):
    """A key whose meaning stands nowhere."""


def build_page() -> str:
    """The whole page."""
    sections = [HEAD]
    for title, kind in (("config.yaml", Config), ("policy.yaml", Policy)):
        sections.append(f"## {title}\n\n{_first_sentence(kind)}\n")
        sections += [section(path, inner) for path, inner in _classes(kind, "")]
    return "\n".join(sections)


def _classes(kind: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every mapping of the file, outermost first, by the path of its keys."""
    yield path, kind
    hints = typing.get_type_hints(kind)
    for field in _keys(kind):
        inner, suffix = _nested(hints[field.name])
        if inner is not None:
            yield from _classes(inner, f"{path}{field.name}{suffix}.")


def section(path: str, kind: Any) -> str:
    """One mapping's table; `path` ends with a dot, or is empty for the file itself. Raises Undocumented."""
    title = f"### `{path[:-1]}`\n\n{_first_sentence(kind)}\n\n" if path else ""
    hints = typing.get_type_hints(kind)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for field in _keys(kind):
        meaning = _meaning(kind, field.name, hints[field.name])
        rows.append(f"| `{path}{field.name}` | {_words(hints[field.name])} | {_default(field)} | {meaning} |")
    return title + "\n".join(rows) + "\n"


def _keys(kind: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(kind) if field.init]


def _nested(hint: Any) -> tuple[Any, str]:
    """The dataclass inside a type, and how its place is written: itself, in a list, or under a name."""
    if dataclasses.is_dataclass(hint):
        return hint, ""
    origin = typing.get_origin(hint)
    suffix = ".NAME" if origin is dict else "[]" if origin is tuple else ""
    for part in typing.get_args(hint):
        if dataclasses.is_dataclass(part):
            return part, suffix
    return None, ""


def _words(hint: Any) -> str:
    """A type in words."""
    parts = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_words(part) for part in parts)
    if origin is tuple:
        return f"list of {_words(parts[0])}"
    if origin is dict:
        return "mapping by name"
    return WORDS.get(hint, "mapping")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return _yaml(field.default)
    return "see below" if field.default_factory is not dataclasses.MISSING else "required"


def _yaml(value: Any) -> str:
    """A default as it would stand in the file."""
    if value is None:
        return "`null`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _meaning(kind: Any, name: str, hint: Any) -> str:
    for clause in _clauses(kind):
        if f"`{name}`" in clause:
            return _end(clause)
    inner, _ = _nested(hint)
    if inner is None:
        raise Undocumented(f"{kind.__name__}.{name}: no sentence of its docstring names it")
    return _end(_sentences(inner)[0])


def _first_sentence(kind: Any) -> str:
    return _end(_sentences(kind)[0])


def _sentences(kind: Any) -> list[str]:
    """Of its docstring; an inherited class's sentences stand after its own."""
    sentences: list[str] = []
    for ancestor in kind.__mro__:
        text = " ".join((ancestor.__doc__ or "").split()) if dataclasses.is_dataclass(ancestor) else ""
        text = text.replace("|", "\\|").replace("None", "null")
        sentences += [sentence for sentence in re.split(r"(?<=[.])\s+(?=[A-Z`])", text) if sentence]
    return sentences


def _clauses(kind: Any) -> Iterator[str]:
    """The sentences, cut where a comma or semicolon leads on to another key."""
    names = "|".join(field.name for field in _keys(kind))
    for sentence in _sentences(kind):
        yield from re.split(rf"[,;]\s+(?=`(?:{names})`)", sentence)


def _end(sentence: str) -> str:
    """A sentence on its own: a capital, unless it begins with a key, and a full stop."""
    return f"{sentence[:1].upper()}{sentence[1:]}".rstrip(".") + "."


def main(words: Sequence[str] | None = None) -> int:
    """Write the page, or with --check compare it."""
    parser = argparse.ArgumentParser(description="write docs/configuration.md from the types")
    parser.add_argument("--check", action="store_true", help="compare only; status 1 when the page is stale")
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args(words)
    page = build_page()
    if not arguments.check:
        arguments.page.write_text(page, "utf-8")
        return 0
    if arguments.page.is_file() and arguments.page.read_text("utf-8") == page:
        return 0
    sys.stderr.write(f"{arguments.page} is stale: run 'python -m gateway.configuration.config_reference'\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
