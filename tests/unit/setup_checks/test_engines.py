"""A build for another hardware is asked for in one word, and refused before anything is touched."""

from pathlib import Path

import pytest

from setup import environment, install
from setup.engines import OPTIONS, build_variables, cache_arguments, chosen_engine
from setup.faults import MISSING, SetupFault


def test_what_was_built_stays_until_another_is_named() -> None:
    assert chosen_engine("", "", "linux") == "cpu"
    assert chosen_engine("", "vulkan", "linux") == "vulkan"
    assert chosen_engine("cuda", "cuda", "linux") == "cuda"
    assert chosen_engine("cpu", "cuda", "linux") == "cpu"
    assert chosen_engine("metal", "cpu", "darwin") == "metal"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("cudda", "ENGINE=cudda is not one of cpu, cuda, rocm, vulkan, metal"),
        ("metal", "ENGINE=metal is for Apple's machines, and this is linux"),
        ("cuda", "ENGINE=cuda needs the CUDA toolkit, with nvcc in PATH"),
        ("rocm", "ENGINE=rocm needs ROCm's HIP compiler"),
        ("vulkan", r"ENGINE=vulkan needs the Vulkan shader compiler and headers \(apt install glslc"),
    ],
)
def test_what_cannot_be_built_is_one_line(
    asked: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupFault, match=words) as refused:
        chosen_engine(asked, "cpu", "linux")
    assert refused.value.status == MISSING
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("status", "works"), [(0, True), (1, False)])
def test_a_compiler_must_run_and_not_only_be_there(
    status: int, works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "nvcc"
    compiler.write_text(f"#!/bin/sh\nexit {status}\n")
    compiler.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    if works:
        assert chosen_engine("cuda", "cpu", "linux") == "cuda"
    else:
        with pytest.raises(SetupFault, match="needs the CUDA toolkit"):
            chosen_engine("cuda", "cpu", "linux")


def test_the_options_of_a_build() -> None:
    assert build_variables("cpu", {}) == {}
    assert build_variables("cpu", {"CMAKE_ARGS": "-DX=1"}) == {"CMAKE_ARGS": "-DX=1"}
    assert build_variables("cuda", {"CMAKE_ARGS": "-DX=1"}) == {"CMAKE_ARGS": "-DGGML_CUDA=on -DX=1"}
    assert [option for options in OPTIONS.values() for option in options] == [
        "-DGGML_CUDA=on",
        "-DGGML_HIP=on",
        "-DGGML_VULKAN=on",
        "-DGGML_METAL=on",
    ]


def test_wheels_of_another_engine_are_kept_apart() -> None:
    assert cache_arguments("cpu", Path("/c")) == ()
    assert cache_arguments("rocm", Path("/c")) == ("--cache-dir=/c/pip-rocm",)


def test_another_engine_is_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def create(folder: Path, **_: bool) -> None:
        folder.mkdir(exist_ok=True)
        made.append(folder)

    monkeypatch.setattr(environment, "VENV", tmp_path / "venv")
    monkeypatch.setattr(environment.venv, "create", create)
    assert environment.built_engine() == ""
    environment.make_environment()
    (tmp_path / "venv/.engine").unlink()  # as one from before there was a choice
    assert environment.built_engine() == "cpu"
    environment.make_environment()
    assert len(made) == 1
    environment.make_environment("vulkan")
    assert (len(made), environment.built_engine()) == (2, "vulkan")
    stamps = {environment.wanted_stamp("engine", engine) for engine in OPTIONS}
    assert len(stamps) == len(OPTIONS)


def test_a_wrong_engine_leaves_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "CACHE", tmp_path)
    monkeypatch.setattr(install, "install", lambda *_: pytest.fail("it would install"))
    assert install.main(["engine", "--engine", "gpu"]) == MISSING
    assert capsys.readouterr().err == ("corral set-up: ENGINE=gpu is not one of cpu, cuda, rocm, vulkan, metal\n")
