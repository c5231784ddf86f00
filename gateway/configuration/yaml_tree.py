"""YAML as plain data that knows its lines, and nothing more of YAML than two small files need.

Read by PyYAML's safe loader as a tree of nodes, so nothing is constructed that the file names. Bounded
against files made to exhaust the reader: nesting, and the number of values after aliases are followed
(a few lines of aliases to aliases are a billion values otherwise). A key that stands twice is a fault: the
second would win in silence. Keys are taken as they are written, so a team may be called `on` or `007`.
"""

import math
from collections.abc import Mapping
from typing import Any

import yaml
from msgspec import Struct

MAX_DEPTH = 32
MAX_VALUES = 20_000
MAX_NODES = 2 * MAX_VALUES + 1
"""Each value has one key at the most. A megabyte of small values would be read for ten seconds before it is counted."""
MAX_BITS = 64
"""Of a whole number; a longer one could not even be told in a fault (Python prints 4,300 digits)."""
TOO_MANY = f"more than {MAX_VALUES} values once its aliases are followed"
UNREADABLE = (yaml.MarkedYAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError)
"""What the safe loader raises for a text that does not fit its tag, such as `!!int ''`."""
Path = tuple[str | int, ...]


class YamlFault(Exception):
    """The text is no YAML, or beyond the bounds; `line` counts from 1."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


class Misfit(Struct, frozen=True):
    """Something wrong at one place of a tree: its path, its line (0: the path's own), and what is wrong."""

    path: Path
    text: str
    line: int = 0


class Tree(Struct, frozen=True):
    """Plain data, the line each path begins in, and what was wrong though it could be read."""

    data: Any
    lines: Mapping[Path, int]
    misfits: tuple[Misfit, ...] = ()

    def line_of(self, path: Path) -> int:
        """The line of `path`, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_tree(text: str) -> Tree:
    """The one document in `text`; an empty one is an empty mapping. Raises YamlFault."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        reader = _Reader(loader)
        data = {} if node is None else reader.value(node, ())
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise YamlFault(mark.line + 1 if mark else 1, f"not valid YAML: {fault.problem or fault.context}") from None
    finally:
        loader.dispose()
    return Tree(data, reader.lines, tuple(reader.misfits))


class _Loader(yaml.SafeLoader):
    """The safe loader with a bound on nesting, which it would otherwise meet as a stack overflow."""

    def __init__(self, text: str) -> None:
        try:
            super().__init__(text)
        except yaml.reader.ReaderError as fault:
            line = text.count("\n", 0, fault.position) + 1
            raise YamlFault(line, "not valid YAML: a character that may not stand in it") from None
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise YamlFault(self.line + 1, f"nested deeper than {MAX_DEPTH} levels")
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise YamlFault(self.line + 1, TOO_MANY)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    """Turns nodes into data and notes lines and misfits on the way."""

    def __init__(self, loader: _Loader) -> None:
        self._loader = loader
        self._values = 0
        self._open: list[yaml.Node] = []
        self.lines: dict[Path, int] = {}
        self.misfits: list[Misfit] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The data of `node`. Raises YamlFault beyond the bounds."""
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._values += 1
        if self._values > MAX_VALUES or node in self._open:
            raise YamlFault(line, TOO_MANY)
        self._open.append(node)
        try:
            return self._read(node, path)
        finally:
            self._open.pop()

    def _read(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.misfits.append(Misfit(path, "a key must be a plain text", line))
                continue
            key = key_node.value
            if key in data:
                text = f"stands here a second time, first in line {first_lines[key]}"
                self.misfits.append(Misfit((*path, key), text, line))
                continue
            first_lines[key] = self.lines[(*path, key)] = line
            data[key] = self.value(value_node, (*path, key))
        return data

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        """Text, number, truth or nothing; a date or a binary stays the text it is written as."""
        try:
            value = self._loader.construct_object(node)
        except UNREADABLE:
            self.misfits.append(Misfit(path, "cannot be read as a value"))
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.misfits.append(Misfit(path, "must be a finite number"))
            return None
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            self.misfits.append(Misfit(path, f"must be a number of at most {MAX_BITS} bits"))
            return None
        return value if value is None or isinstance(value, str | int | float) else str(node.value)
