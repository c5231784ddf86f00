"""Every file that is no module is part of the package: without it an installed Corral lacks what a checkout has."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_no_file_is_left_behind() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packed = {
        path
        for package, patterns in told.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    found = {
        path
        for room in ("gateway", "policies", "engine")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert found - packed == set()
    assert packed <= found
