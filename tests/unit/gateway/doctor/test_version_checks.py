"""Installed packages against the floors that this version asks for."""

from importlib.metadata import PackageNotFoundError

import pytest

from gateway.doctor.version_checks import parser_complaints, version_complaints


@pytest.mark.parametrize(
    ("asked", "installed", "what"),
    [
        ("aiohttp>=3.14.5", "3.14.5", None),
        ("aiohttp>=3.14.5", "3.14.10", None),
        ("aiohttp>=3.14.5", "3.14.5rc1", None),
        ("aiohttp>=3.14.5", "3.14.4", "aiohttp 3.14.4 is below 3.14.5"),
        ("aiohttp[speedups] >= 3.14.5", "3.9", "aiohttp 3.9 is below 3.14.5"),
        ("msgspec==0.19.0; python_version >= '3.11'", "0.18", "msgspec 0.18 is below 0.19.0"),
        ("msgspec>=1", "none", "msgspec none is below 1"),
        ('ray>=2.9; extra == "ray"', "1.0", None),
        ("yarl", "1", None),
        ("gone>=1", None, "gone 0 is below 1"),
    ],
)
def test_a_version_against_its_floor(asked: str, installed: str | None, what: str | None) -> None:
    def find(_name: str) -> str:
        if installed is None:
            raise PackageNotFoundError
        return installed

    assert [each.what for each in version_complaints([asked], find)] == ([what] if what else [])


def test_what_is_installed_here_is_as_asked() -> None:
    assert list(version_complaints()) == []
    assert list(parser_complaints()) == []
