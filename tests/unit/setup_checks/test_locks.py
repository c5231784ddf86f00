"""What is installed is what was locked: exact, hashed, from no named host, and nothing that is known to be unsafe."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from setup.places import ROOT

LOCK_FILES = sorted((ROOT / "lock").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def entries(lock: Path) -> dict[str, list[str]]:
    """Name -> the pins of that name (one for each Python that needs its own)."""
    found: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", lock.read_text()):
        if match := re.match(r"([a-z0-9-]+)==(\S+)", block):
            assert "--hash=sha256:" in block, block.splitlines()[0]
            found.setdefault(match[1], []).append(match[2])
    return found


def named(requirements: list[str]) -> set[str]:
    """The bare names of PEP 508 requirements."""
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in requirements}


def test_the_lock_files_there_are() -> None:
    names = ["build.txt", "dev.txt", "engine.txt", "model.txt", "peers.txt", "sslyze.txt"]
    assert [lock.name for lock in LOCK_FILES] == names


@pytest.mark.parametrize("lock", LOCK_FILES, ids=lambda lock: lock.name)
def test_every_line_is_a_pin_with_hashes_or_a_comment(lock: Path) -> None:
    entries(lock)
    for line in lock.read_text().splitlines():
        assert re.match(r"[a-z0-9-]+==\S+ ; .*\\$|    --hash=sha256:[0-9a-f]{64}( \\)?$| *#", line), line
        assert "://" not in line


def test_what_the_project_asks_for_is_locked() -> None:
    project, extras, groups = (
        PROJECT["project"],
        PROJECT["project"]["optional-dependencies"],
        PROJECT["dependency-groups"],
    )
    engine = named(project["dependencies"] + extras["engine"])
    assert engine <= entries(ROOT / "lock/engine.txt").keys()
    assert engine | named(extras["dev"]) <= entries(ROOT / "lock/dev.txt").keys()
    assert named(groups["build"]) <= entries(ROOT / "lock/build.txt").keys()
    assert named(groups["sslyze"]) <= entries(ROOT / "lock/sslyze.txt").keys()
    assert named(groups["peers"]) <= entries(ROOT / "lock/peers.txt").keys()
    assert named(groups["model"]) == entries(ROOT / "lock/model.txt").keys()


def test_the_larger_lock_holds_the_smaller_one() -> None:
    engine, dev = entries(ROOT / "lock/engine.txt"), entries(ROOT / "lock/dev.txt")
    assert engine.items() <= dev.items()


def test_the_disk_cache_that_unpickles_is_not_there() -> None:
    assert not any("diskcache" in entries(lock) for lock in LOCK_FILES)  # CVE-2025-69872


def test_one_row_in_the_documents_for_each_dependency() -> None:
    rows = re.findall(r"^\| `([^`]+)`", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *extras["engine"],
        *extras["dev"],
        *groups["build"],
        *groups["model"],
        *groups["sslyze"],
        *groups["peers"],
    ]
    assert sorted(row.lower() for row in rows) == sorted(wanted)


def test_make_lists_what_it_can_do() -> None:
    said = subprocess.run(["make", "-C", ROOT, "-s"], capture_output=True, text=True, check=True).stdout
    for target in ("serve", "test", "check", "fix", "bench", "prove", "fuzz", "lock", "clean"):
        assert f"make {target}" in said


def test_make_names_a_python_that_is_too_old() -> None:
    command = ["make", "-C", ROOT, "-s", "serve", "PYTHON="]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Python 3.11 or newer is needed" in ended.stderr
    assert ended.returncode == 2


def test_set_up_runs_without_anything_installed() -> None:
    command = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.'); import setup.install"]
    subprocess.run(command, cwd=ROOT, check=True)


def test_ci_runs_make_test_and_nothing_more() -> None:
    assert (ROOT / ".ci/run").read_text().splitlines() == ["#!/bin/bash", "exec make test"]
