"""Everything that is missing is named at once, with the package that brings it."""

import importlib.util
from pathlib import Path

import pytest

from setup import needs, system_packages
from setup.faults import MISSING, SetupFault


def test_a_machine_that_has_all(tmp_path: Path) -> None:
    needs.check_machine(tmp_path / ".venv")


def test_everything_missing_is_named_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(needs, "VENV_MIB", 1 << 40)
    with pytest.raises(SetupFault) as fault:
        needs.check_machine(tmp_path / ".venv")
    assert fault.value.status == MISSING
    for words in ("apt install python3-venv", "apt install g++", f"room in {tmp_path}"):
        assert words in str(fault.value)


def test_the_compiler_that_was_named_is_the_one_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/g++ -m64")
    assert needs.find_compiler("CXX", "c++", "g++") is None
    compiler = tmp_path / "my-c++"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("CXX", f"{compiler} -m64")
    assert needs.find_compiler("CXX", "c++", "g++") == str(compiler)


def test_only_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SetupFault, match="a Linux kernel"):
        needs.check_machine(tmp_path / ".venv")


def test_an_ordinary_user_is_told_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    there, lacking = (lambda: True), (lambda: False)
    monkeypatch.setattr(system_packages, "NEEDED", {"g++": there, "redis-server": lacking})
    with pytest.raises(SetupFault, match=r"sudo apt install redis-server$") as fault:
        system_packages.have_packages(root=False)
    assert fault.value.status == MISSING


@pytest.mark.parametrize("root", [True, False])
def test_nothing_is_installed_when_all_is_there(root: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # apt-get could not be found
    monkeypatch.setattr(system_packages, "NEEDED", {"g++": lambda: True})
    system_packages.have_packages(root=root)
