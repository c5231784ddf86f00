"""A finished set-up is left alone; a changed lock, another Python or a moved checkout is not."""

from pathlib import Path

import pytest

from setup import environment, install, needs
from setup.faults import MISSING, SetupFault

PROJECT = '[project]\nname = "corral"\n'


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose set `engine` is installed."""
    for folder in ("lock", ".venv", "cache"):
        (tmp_path / folder).mkdir()
    for file in ("lock/build.txt", "lock/engine.txt", "lock/dev.txt"):
        (tmp_path / file).write_text(file)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "LOCKS", tmp_path / "lock")
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "CACHE", tmp_path / "cache")
    environment.stamp_of("engine").write_text(environment.wanted_stamp("engine"))

    def refuse(_: Path) -> None:
        raise SetupFault("it would install", status=MISSING)

    monkeypatch.setattr(needs, "check_machine", refuse)
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_what_is_installed_costs_nothing() -> None:
    assert install.main(["engine"]) == 0


@pytest.mark.usefixtures("checkout")
def test_a_set_that_is_not_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main(["dev"]) == MISSING
    assert capsys.readouterr().err == "corral set-up: it would install\n"


@pytest.mark.parametrize("file", ["lock/build.txt", "lock/engine.txt", "pyproject.toml"])
def test_a_changed_file(checkout: Path, file: str) -> None:
    with (checkout / file).open("a") as changed:
        changed.write("version = '2'\n")
    assert install.main(["engine"]) == MISSING


def test_a_change_that_installs_nothing_else(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text(f"{PROJECT}[tool.ruff]\nline-length = 99\n")
    assert install.main(["engine"]) == 0


def test_another_python_or_place(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = environment.wanted_stamp("engine")
    monkeypatch.setattr("sys.version", "3.99")
    other_python = environment.wanted_stamp("engine")
    monkeypatch.setattr(environment, "VENV", checkout / "moved")
    assert len({stamp, other_python, environment.wanted_stamp("engine")}) == 3


def test_an_interrupt_says_how_to_go_on(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    (checkout / "lock/engine.txt").write_text("changed")
    monkeypatch.setattr(needs, "check_machine", interrupt)
    assert install.main(["engine"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_disk_that_refuses(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(28, "No space left on device", str(checkout))

    (checkout / "lock/engine.txt").write_text("changed")
    monkeypatch.setattr(needs, "check_machine", refuse)
    assert install.main(["engine"]) == 1
    assert capsys.readouterr().err == f"corral set-up: {checkout}: No space left on device\n"


def test_a_tool_apart_is_made_once_for_its_lock(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []

    def pip(_title: str, *arguments: str | Path) -> None:
        said.append(tuple(map(str, arguments)))

    monkeypatch.setattr(environment, "CACHE", checkout / "cache")
    monkeypatch.setattr(environment, "_pip", pip)
    monkeypatch.setattr(environment.venv, "create", lambda folder, **_: folder.mkdir(exist_ok=True))
    lock = checkout / "lock/tool.txt"
    for content in ("one", "one", "two"):
        lock.write_text(content)
        assert environment.install_apart("tool") == checkout / "cache/tool"
    assert [words[0] for words in said] == ["wheel", "--python"] * 2
    assert "--require-hashes" in said[0]
    assert "--no-index" in said[1]  # only what was locked, which lies there by now
    monkeypatch.setattr(install, "install_apart", lambda tool: said.append((tool,)))
    assert install.main(["engine", "--sslyze"]) == 0
    assert said[-1] == ("sslyze",)
