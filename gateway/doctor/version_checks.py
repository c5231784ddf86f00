"""Complaints about installed packages that are older than what this version asks for, floors of security among them."""

import re
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from gateway.doctor.complaint import Complaint
from gateway.supervision.startup_files import parser_faults

_FLOOR = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:>=|==)\s*(?P<floor>[0-9]+(?:\.[0-9]+)*)(?P<rest>.*)"
)


def version_complaints(
    asked: Iterable[str] | None = None, find_version: Callable[[str], str] = version
) -> Iterator[Complaint]:
    """What is older than `asked` (requirements as a wheel states them; None takes our own)."""
    for requirement in _own_requirements() if asked is None else asked:
        floor = _FLOOR.match(requirement)
        if floor is None or "extra ==" in floor["rest"]:
            continue
        try:
            installed = find_version(floor["name"])
        except PackageNotFoundError:
            installed = "0"
        if _parts(installed) < _parts(floor["floor"]):
            yield _complaint(f"{floor['name']} {installed} is below {floor['floor']}")


def parser_complaints() -> Iterator[Complaint]:
    """A parser that may not face a network."""
    yield from map(_complaint, parser_faults())


def _own_requirements() -> list[str]:
    try:
        return requires("corral") or []
    except PackageNotFoundError:
        return []


def _parts(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: 3.14.5rc1 counts as 3.14.5."""
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def _complaint(what: str) -> Complaint:
    why = "its known weaknesses are open here"
    return Complaint(check="versions", what=what, why=why, remedy="install what the lock file names")
