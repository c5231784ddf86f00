"""What is made of a wall with gaps; the whole start is proven with the processes themselves."""

import argparse
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import process_start
from engine.device_profile import CPU, DeviceProfile
from engine.process_start import LoadFailed, check_second_wall, check_wall, raise_second_wall, raise_wall
from engine.second_wall import SecondWallReport
from engine.walls import WallReport

WHOLE = WallReport(
    no_new_privs=True, landlock_abi=7, memory_bytes=1, core_dumps_off=True, capabilities_dropped=True, seccomp=True
)
WHOLE_SECOND = SecondWallReport(landlock_abi=7, binds_all_threads=False, descriptor_limit=20, seccomp=True)
LANDLOCK = ("landlock (this kernel has none)",)


@pytest.fixture(autouse=True)
def time_zone() -> Iterator[None]:
    """This process keeps its own."""
    yield
    os.unsetenv("TZ")
    time.tzset()


def options(sandbox: str = "required", **more: Any) -> argparse.Namespace:
    return argparse.Namespace(model="m", model_file=Path("/m"), memory_bytes=1, sandbox=sandbox, **more)


def test_a_whole_wall_lacks_nothing() -> None:
    assert check_wall(WHOLE, "required") == check_second_wall(WHOLE_SECOND, "required") == ""


def test_a_gap_ends_the_process_unless_the_operator_said_best() -> None:
    gap = dataclasses.replace(WHOLE, landlock_abi=0, missing=LANDLOCK)
    second_gap = dataclasses.replace(WHOLE_SECOND, landlock_abi=0, missing=LANDLOCK)
    assert check_wall(gap, "best") == check_second_wall(second_gap, "best") == LANDLOCK[0]
    for check in (lambda: check_wall(gap, "required"), lambda: check_second_wall(second_gap, "required")):
        with pytest.raises(LoadFailed, match=r"would lack landlock \(this kernel has none\).*engine.sandbox: best"):
            check()


@pytest.mark.parametrize("sandbox", ["required", "best"])
@pytest.mark.parametrize("name", ["seccomp", "no_new_privs"])
def test_without_the_rest_no_model_is_opened(name: str, sandbox: Any) -> None:
    with pytest.raises(LoadFailed, match=f"cannot wall it in: {name}"):
        check_wall(dataclasses.replace(WHOLE, **{name: False}, missing=(name,)), sandbox)


@pytest.mark.parametrize("sandbox", ["required", "best"])
def test_without_its_filter_the_second_wall_does_not_stand(sandbox: Any) -> None:
    with pytest.raises(LoadFailed, match="cannot wall it in: seccomp"):
        check_second_wall(dataclasses.replace(WHOLE_SECOND, seccomp=False, missing=("seccomp",)), sandbox)


def test_a_gap_is_said_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: dict[str, Any] = {}

    def first(**arguments: Any) -> WallReport:
        asked.update(arguments)
        return dataclasses.replace(WHOLE, missing=LANDLOCK)

    monkeypatch.setattr(process_start, "first_wall", first)
    monkeypatch.setattr(
        process_start, "second_wall", lambda **_arguments: dataclasses.replace(WHOLE_SECOND, missing=LANDLOCK)
    )
    raise_wall(options("best"), "worker")
    raise_second_wall(options("best"), "worker", connections=1, calls=())
    assert capsys.readouterr().err == (
        "worker: m: the wall lacks landlock (this kernel has none)\n"
        "worker: m: the second wall lacks landlock (this kernel has none)\n"
    )
    assert asked["profile"] is CPU
    assert (asked["read_files"], asked["memory_bytes"]) == ([Path("/m")], 1)


def test_whole_walls_are_raised_in_silence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(process_start, "first_wall", lambda **_arguments: WHOLE)
    monkeypatch.setattr(process_start, "second_wall", lambda **arguments: asked.update(arguments) or WHOLE_SECOND)
    raise_wall(options(), "preparer")
    raise_second_wall(options(), "preparer", connections=65, calls=("read",))
    assert capsys.readouterr().err == ""
    assert asked == {"connections": 65, "calls": ("read",), "profile": CPU}


def test_a_wall_that_cannot_be_raised_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_arguments: Any) -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(process_start, "first_wall", fail)
    monkeypatch.setattr(process_start, "second_wall", fail)
    with pytest.raises(LoadFailed, match="wall: Too many open files"):
        raise_wall(options(), "worker")
    with pytest.raises(LoadFailed, match="second wall: Too many open files"):
        raise_second_wall(options(), "worker", connections=1, calls=())


def test_layers_on_a_gpu_change_the_walls_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = DeviceProfile(backend="cuda", device_nodes=("/dev/nvidiactl",))
    seen: list[tuple[Any, int]] = []
    asked: dict[str, Any] = {}

    def choose(libraries: frozenset[str], gpu_layers: int) -> DeviceProfile:
        seen.append((libraries, gpu_layers))
        return wide

    monkeypatch.setattr(process_start, "profile_for", choose)
    monkeypatch.setattr(process_start, "first_wall", lambda **arguments: asked.update(arguments) or WHOLE)
    raise_wall(options(gpu_layers=20), "worker")
    assert asked["profile"] is wide
    assert "libllama.so" in seen[0][0]
    assert seen[0][1] == 20
    assert "walls are those for cuda, wider and never tested" in capsys.readouterr().err


def test_an_install_without_llama_cpp_has_no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_start.importlib.util, "find_spec", lambda _name: None)
    assert process_start._llama_libraries() == frozenset()
