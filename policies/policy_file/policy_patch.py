"""One setting of policy.yaml changed in its text, so that a page can print the patch. Decides where the line goes.

A hand-written file keeps its comments and its order; nothing is parsed here and nothing is trusted: whoever calls
parses what comes back and holds it against what was asked (`diff_policies`). Rules, the first that fits:
 (1) The setting stands on a line of its own with a plain value: the value is replaced, the comment behind it stays.
 (2) The nearest thing around it that is there is a mapping in block style: the setting goes right below its first
     line, indented as what stands there already.
 (3) Nothing around it is there: it goes to the end.
 (4) Anything else (flow style, anchors, texts over several lines) is not touched: None.
"""

import difflib
import re
from collections.abc import Mapping

from policies.worded import worded

Path = tuple[str, ...]
MAX_ROW = 1000
"""Characters; a longer line is not one that a person reads in a patch, and bounds what the patterns below cost."""
STEP = 2
"""Blanks a level where the file gives no example."""
_PLAIN = re.compile(
    r"(?P<head>\s*[^\s#&*!|>{\[%@`,][^:#]*:[ \t]+)(?P<value>[^\s#&*!|>{\[][^#]*?)(?P<tail>\s*(?:[ \t]#.*)?)"
)
_OPENING = re.compile(r"(?P<indent> *)[^\s#&*!|>{\[%@`,][^:#]*:[ \t]*(?:#.*)?")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VALUE = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


def read_path(text: str) -> Path:
    """A setting's path as it is written with dots. Raises ValueError with a sentence."""
    path = tuple(text.strip().split("."))
    if not all(map(_KEY.fullmatch, path)):
        line = "a setting is its path in policy.yaml with dots, such as teams.default.limits.tokens_per_day"
        raise ValueError(worded(line, "setting_path"))
    return path


def read_value(text: str) -> str:
    """A value as it is written in YAML on one line. Raises ValueError with a sentence."""
    if not _VALUE.fullmatch(text.strip()):
        line = "a value is written as in policy.yaml, on one line of at most 256 characters"
        raise ValueError(worded(line, "setting_value"))
    return text.strip()


def edited(text: str, lines: Mapping[tuple[str | int, ...], int], path: Path, value: str) -> str | None:
    """`text` with `path` set to `value`, by the rules at the head; `lines` are where its paths begin, from 1."""
    rows = text.splitlines(keepends=True)
    if path in lines:
        return _replaced(rows, lines[path] - 1, value)
    known = max((length for length in range(1, len(path)) if path[:length] in lines), default=0)
    if not known:
        ended = text if not text or text.endswith("\n") else f"{text}\n"
        return ended + _nested(path, value, 0, STEP)
    return _inserted(rows, lines[path[:known]] - 1, path[known:], value)


def fragment(path: Path, value: str) -> str:
    """The setting alone, as it would stand in a file of its own."""
    return _nested(path, value, 0, STEP)


def unified(before: str, after: str, name: str) -> str:
    """The change as `patch` and `git apply` take it."""
    made = difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in made)


def _lines(text: str) -> list[str]:
    """By line feeds alone, as `patch` counts."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _replaced(rows: list[str], at: int, value: str) -> str | None:
    body, end = _cut_end(rows[at])
    match = _PLAIN.fullmatch(body) if len(body) <= MAX_ROW else None
    if match is None:
        return None
    return "".join([*rows[:at], f"{match['head']}{value}{match['tail']}{end}", *rows[at + 1 :]])


def _inserted(rows: list[str], at: int, rest: Path, value: str) -> str | None:
    body, end = _cut_end(rows[at])
    match = _OPENING.fullmatch(body) if len(body) <= MAX_ROW else None
    if match is None:
        return None
    own = len(match["indent"])
    inner = _indent_below(rows[at + 1 :], own)
    new = _nested(rest, value, inner, inner - own)
    return "".join([*rows[:at], body + (end or "\n"), new, *rows[at + 1 :]])


def _indent_below(rows: list[str], own: int) -> int:
    """How far the first thing below is indented, if it belongs to what stands above."""
    for row in rows:
        bare = row.lstrip(" ")
        if bare.strip() and not bare.startswith("#"):
            indent = len(row) - len(bare)
            return indent if indent > own else own + STEP
    return own + STEP


def _nested(path: Path, value: str, indent: int, step: int) -> str:
    heads = [f"{' ' * (indent + step * depth)}{name}:" for depth, name in enumerate(path)]
    return "\n".join(heads) + f" {value}\n"


def _cut_end(row: str) -> tuple[str, str]:
    body = row.rstrip("\r\n")
    return body, row[len(body) :]
