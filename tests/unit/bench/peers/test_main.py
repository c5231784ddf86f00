"""`make peers` on a machine that lacks something: one line that names it, and status 2."""

import os
from pathlib import Path

import pytest

from bench import peers as package
from bench.peers import __main__ as make_peers


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment with the library in it, and a build folder, both made up."""
    library = tmp_path / "venv/lib/python3.11/site-packages/llama_cpp/lib/libllama.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"library")
    made = tmp_path / "made"
    made.mkdir()
    for name, place in {
        "VENV": tmp_path / "venv",
        "PYTHON": tmp_path / "venv/bin/python",
        "PEERS": tmp_path,
        "STAMP": tmp_path / "stamp",
        "SERVER": made / "llama-server",
        "BATCHED_BENCH": made / "llama-batched-bench",
    }.items():
        monkeypatch.setattr(make_peers, name, place)
    return tmp_path


def test_without_the_library_set_up_is_named(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_peers, "VENV", places / "nothing")
    assert make_peers.main([]) == 2
    assert capsys.readouterr().err == "corral peers: llama-cpp-python is not installed: make install-dev\n"


def test_without_tools_all_that_is_missing_is_named_at_once(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(places))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert make_peers.main([]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ("cmake", "ninja", "a C++ compiler (apt install g++)"))


def test_what_is_built_is_not_built_again(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_peers, "_tools", lambda _path: ("cmake", "ninja"))
    library = places / "venv/lib/python3.11/site-packages/llama_cpp/lib"
    for name in ("llama-server", "llama-batched-bench"):
        (places / "made" / name).write_bytes(b"")
    (places / "stamp").write_text(make_peers._stamp(library))
    assert make_peers.main([]) == 0
    assert "The peers are built" in capsys.readouterr().out


def test_another_library_makes_another_stamp(places: Path) -> None:
    library = places / "venv/lib/python3.11/site-packages/llama_cpp/lib"
    first = make_peers._stamp(library)
    (library / "libllama.so").write_bytes(b"another")
    assert make_peers._stamp(library) != first


def test_the_build_file_fetches_nothing() -> None:
    text = Path(str(package.__file__)).with_name("CMakeLists.txt").read_text()
    assert "-DHF_ENABLED=OFF" in text
    assert "FetchContent" not in text
    assert os.sep + "usr" not in text
