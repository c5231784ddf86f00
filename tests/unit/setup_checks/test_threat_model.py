"""THREAT_MODEL.md names modules, tests and proofs that exist, and leaves no row of the model out."""

import re
from pathlib import Path

import pytest

from setup.places import ROOT

ROWS = re.findall(
    r"^\| (T\d+) ([HML]) \| (.+?) \| (.+?) \| (.+?) \|$", (ROOT / "THREAT_MODEL.md").read_text(), re.MULTILINE
)
MODULE = re.compile(r"`((?:gateway|policies|engine|setup)/[\w/]+\.py)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
PROOF = re.compile(r"`make prove P=(\w+)`")


def test_every_threat_has_its_row() -> None:
    numbers = [int(row[0][1:]) for row in ROWS]
    assert len(numbers) == len(set(numbers))
    assert set(range(1, 49)) <= set(numbers)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_control_is_where_the_row_says(row: tuple[str, ...]) -> None:
    modules = MODULE.findall(row[3])
    assert modules or "planned" in row[3]
    assert not [module for module in modules if not (ROOT / module).is_file()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_shows_it_exists(row: tuple[str, ...]) -> None:
    tests, proofs = TEST.findall(row[4]), PROOF.findall(row[4])
    assert tests or proofs or row[4] == "planned"
    for path, name in tests:
        text = (ROOT / path).read_text()
        assert re.search(rf"def {name}\b" if name else "def test_", text), f"{path}::{name}"
    for name in proofs:
        assert (ROOT / "bench" / "proofs" / f"{name}.py").is_file(), name


def test_other_pages_name_tests_that_exist() -> None:
    for page in ("SECURITY.md", "README.md", *map(str, Path(ROOT / "docs").glob("*.md"))):
        for path, name in TEST.findall((ROOT / page).read_text()):
            assert re.search(rf"def {name}\b" if name else "def ", (ROOT / path).read_text()), f"{page}: {path}::{name}"
