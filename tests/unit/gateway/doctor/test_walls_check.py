"""What `corral doctor` says of the walls, from trials made up here."""

from typing import Any

import pytest
from msgspec import structs

from engine.wall_probe import WallTrial
from gateway.doctor.walls_check import wall_complaints, wall_lines

WHOLE = WallTrial(
    landlock_abi=7,
    no_new_privs=True,
    capabilities_dropped=True,
    seccomp=True,
    second_seccomp=True,
    binds_all_threads=False,
    missing=(),
    first={"make a socket": "EPERM"},
    second={"start a thread": "EPERM"},
)
NONE = structs.replace(
    WHOLE, landlock_abi=0, capabilities_dropped=False, second_seccomp=False, missing=("landlock (none)",)
)


def test_each_wall_is_one_line() -> None:
    guarded = "files, moving files between folders, truncating files, TCP, ioctl on devices, signals"
    assert wall_lines(WHOLE) == (
        f"landlock: ABI 7, which guards {guarded} and abstract sockets",
        "first wall: no_new_privs, capabilities dropped, seccomp; tried: make a socket refused",
        "second wall: allow list of system calls, no file for the serving thread; tried: start a thread refused",
    )


def test_what_does_not_stand_is_said() -> None:
    lines = wall_lines(NONE)
    assert lines[0] == "landlock: none"
    assert "not capabilities dropped" in lines[1]
    assert lines[2].startswith("second wall: no allow list")
    assert "no file for any thread" in wall_lines(structs.replace(WHOLE, binds_all_threads=True))[2]
    assert wall_lines("the walls could not be tried: x") == ("walls: the walls could not be tried: x",)


def test_a_whole_wall_is_no_complaint() -> None:
    assert list(wall_complaints(WHOLE, "required")) == []


@pytest.mark.parametrize(("sandbox", "why"), [("required", "no model is served"), ("best", "served with less")])
def test_a_gap_is_a_complaint(sandbox: Any, why: str) -> None:
    (complaint,) = wall_complaints(NONE, sandbox)
    assert complaint.line.startswith("walls: this machine lacks landlock (none): ")
    assert why in complaint.why
    (untried,) = wall_complaints("the walls could not be tried: x", sandbox)
    assert untried.what == "the walls could not be tried: x"


def test_a_wall_that_lets_through_what_it_forbids_is_a_complaint() -> None:
    (complaint,) = wall_complaints(structs.replace(WHOLE, second={"start a thread": "done"}), "required")
    assert complaint.what == "a process behind its walls could still start a thread"
    assert "start a thread passed" in wall_lines(structs.replace(WHOLE, second={"start a thread": "done"}))[2]
