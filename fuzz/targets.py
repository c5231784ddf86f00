"""The targets there are: every module of this package that has SEEDS and `one`."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NOT_TARGETS = {"__init__", "__main__", "gguf_mutation", "mutation", "targets"}


@dataclass(frozen=True, slots=True)
class Target:
    """`one` takes an input and raises for one that breaks the invariant."""

    name: str
    seeds: tuple[bytes, ...]
    one: Callable[[bytes], None]


def target_names() -> tuple[str, ...]:
    """All targets by name."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_TARGETS))


def load_target(name: str) -> Target:
    """The target called `name`."""
    module = importlib.import_module(f"fuzz.{name}")
    return Target(name, module.SEEDS, module.one)
