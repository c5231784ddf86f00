"""What the filter does is shown by test_walls, in a real kernel; here: that its list is what it seems."""

from types import SimpleNamespace
from typing import Any

import pytest

from engine.syscall_filter import MAY_BE_UNKNOWN, REFUSED, filter_library, load_filter


class Rules:
    """Records what would be loaded."""

    def __init__(self, _default: int) -> None:
        self.names: list[Any] = []
        self.loaded = False

    def set_attr(self, _name: int, _value: int) -> None:
        return

    def add_rule(self, _action: int, name: str, *_arguments: object) -> None:
        self.names.append(name)

    def load(self) -> None:
        self.loaded = True


def library(numbers: dict[str, int]) -> tuple[Any, list[Rules]]:
    made: list[Rules] = []

    def new_filter(default: int) -> Rules:
        made.append(Rules(default))
        return made[-1]

    constants = {"ALLOW": 0, "NE": 1, "MASKED_EQ": 7, "Attr": SimpleNamespace(CTL_TSYNC=1)}
    return (
        SimpleNamespace(
            SyscallFilter=new_filter,
            ERRNO=lambda code: code,
            Arg=lambda *arguments: arguments,
            Arch=SimpleNamespace(NATIVE=0),
            resolve_syscall=lambda _arch, name: numbers.get(name, 1),
            **constants,
        ),
        made,
    )


def test_every_name_is_known_here_or_young() -> None:
    seccomp = filter_library()
    unknown = {name for name in REFUSED if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) == -1}
    assert unknown <= MAY_BE_UNKNOWN
    assert len(set(REFUSED)) == len(REFUSED)


@pytest.mark.parametrize(("name", "missing"), [("socket", ("socket",)), ("fchmodat2", ())])
def test_a_call_that_the_library_does_not_know_is_told_unless_it_is_young(name: str, missing: tuple[str, ...]) -> None:
    seccomp, made = library({name: -1, "fork": -10234})
    assert load_filter(seccomp) == missing
    (rules,) = made
    assert rules.loaded
    assert name not in rules.names
    assert "fork" not in rules.names  # another architecture's: nothing to refuse
    assert {"clone", "clone3", "kill", "ptrace"} <= set(rules.names)
