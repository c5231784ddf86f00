"""Which settings of the two files are dangerous, and which bounds only report: found by name, so none is forgotten.

Rules:
 (1) A dangerous setting begins with `unsafe_`, and so does a dangerous choice among others (`on_failure: unsafe_open`).
     It is in force when it is true, or chosen.
 (2) A bound that only reports says `report` under `mode` or `promise_mode`.
 (3) Each is told by its path in the file, `policy.yaml` or `config.yaml` before it.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

UNSAFE = "unsafe_"
REPORTING = frozenset({"mode", "promise_mode"})


def unsafe_switches(file: str, settings: Any) -> list[str]:
    """The dangerous settings in force in a file read as dataclasses, by rule (1)."""
    return sorted(
        f"{file}: {path}" + (f": {value}" if isinstance(value, str) else "")
        for path, name, value in _leaves(settings, "")
        if (name.startswith(UNSAFE) and value) or (isinstance(value, str) and value.startswith(UNSAFE))
    )


def reporting_only(file: str, settings: Any) -> list[str]:
    """The bounds of a file that refuse nothing, by rule (2)."""
    found = (path for path, name, value in _leaves(settings, "") if name in REPORTING and value == "report")
    return sorted(f"{file}: {path}" for path in found)


def _leaves(settings: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """Every value that is no mapping, list or part of its own: its path, its name, and itself."""
    for name, value in _items(settings):
        place = f"{path}.{name}" if path else name
        if dataclasses.is_dataclass(value) or isinstance(value, Mapping | tuple | list):
            yield from _leaves(value, place)
        else:
            yield place, name, value


def _items(settings: Any) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(settings):
        yield from ((each.name, getattr(settings, each.name)) for each in dataclasses.fields(settings) if each.init)
    elif isinstance(settings, Mapping):
        yield from ((str(name), value) for name, value in settings.items())
    else:
        yield from ((str(place), value) for place, value in enumerate(settings))
