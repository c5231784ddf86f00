"""No version below its floor: not asked for, not locked, not installed. What security asks for stands here too."""

import re
import tomllib
from importlib.metadata import version

import pytest

from setup.places import ROOT
from tests.unit.setup_checks.test_locks import entries

SECURITY_FLOORS = {
    "aiohttp": "3.14.5",  # upgrade smuggling 3.14.2, heap over-read 3.14.3, absolute-form scheme 3.14.4
    "pyjwt": "2.15.1",  # CVE-2026-32597, -48522 to -48526, -102266, -102267
    "cryptography": "50.0.2",
    "redis": "4.5.5",  # CVE-2023-28858 and -28859: a cancelled call's reply went to another caller
    "jinja2": "3.1.6",  # CVE-2025-27516: sandbox escape by |attr
    "llama-cpp-python": "0.3.36",
}
"""The least that may ever stand in pyproject.toml, whatever else is convenient."""
TABLE_ROW = re.compile(r"^\| `([A-Za-z0-9._-]+)(>=|==)([0-9.]+)` \|", re.MULTILINE)
FLOORS = {name.lower(): floor for name, _, floor in TABLE_ROW.findall((ROOT / "docs/dependencies.md").read_text())}


def parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+", maxsplit=1)[0])[:4])


def test_the_floors_of_the_documents_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"]]
    for group in (*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()):
        asked += group
    assert {name.lower(): floor for name, floor in (re.split(">=|==", text) for text in asked)} == FLOORS


@pytest.mark.parametrize(("name", "floor"), SECURITY_FLOORS.items())
def test_no_floor_is_below_what_security_asks(name: str, floor: str) -> None:
    assert parts(FLOORS[name]) >= parts(floor)


@pytest.mark.parametrize("lock", ["engine.txt", "dev.txt", "build.txt", "model.txt"])
def test_what_is_locked_is_at_its_floor_or_above(lock: str) -> None:
    pinned = entries(ROOT / "lock" / lock)
    below = [(name, pin) for name, pins in pinned.items() for pin in pins if parts(pin) < parts(FLOORS.get(name, "0"))]
    assert not below


@pytest.mark.parametrize("name", sorted(SECURITY_FLOORS))
def test_what_is_installed_is_at_its_floor_or_above(name: str) -> None:
    assert parts(version(name)) >= parts(FLOORS[name])
