"""The sources of the peers: one pin with its hashes out of the lock, an archive that appears whole or not at all."""

import io
import tarfile
from pathlib import Path

import pytest

from bench.peers.source import locked, unpack
from setup.faults import SetupFault
from setup.places import LOCKS

LOCK = """# made by
jinja2==3.1.6 ; sys_platform == 'linux' \\
    --hash=sha256:aa
llama-cpp-python==0.3.36 ; sys_platform == 'linux' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via corral (pyproject.toml)
numpy==2.4.6 ; sys_platform == 'linux' \\
    --hash=sha256:dd
"""


def test_the_pin_comes_with_all_its_hashes_and_nothing_else() -> None:
    pin = "llama-cpp-python==0.3.36 ; sys_platform == 'linux' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    assert locked(LOCK) == pin


def test_the_last_entry_of_a_lock_is_found_too() -> None:
    assert locked(LOCK, "numpy").count("--hash") == 1


def test_the_projects_own_lock_names_it() -> None:
    assert "--hash=sha256:" in locked((LOCKS / "engine.txt").read_text())


def test_a_lock_without_it_says_what_to_do() -> None:
    with pytest.raises(SetupFault, match="does not name llama-cpp-python: make lock"):
        locked("numpy==2.4.6 \\\n    --hash=sha256:dd\n")


def test_the_one_top_folder_of_an_archive_becomes_the_target(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        entry = tarfile.TarInfo("llama-1.0/vendor/CMakeLists.txt")
        entry.size = 3
        packed.addfile(entry, io.BytesIO(b"yes"))
    unpack(archive, tmp_path / "source")
    assert (tmp_path / "source/vendor/CMakeLists.txt").read_text() == "yes"
    assert not (tmp_path / "source.partial").exists()
