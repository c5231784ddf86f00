"""The trial of the walls: in a process of its own both are raised and hold; here: how an attempt is told."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import landlock, wall_probe

ROOT = Path(__file__).resolve().parents[3]


def test_a_process_raises_both_walls_and_finds_them_closed() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine.wall_probe"],
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
        capture_output=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["landlock_abi"] == landlock.kernel_abi()
    assert found["no_new_privs"] is found["capabilities_dropped"] is found["seccomp"] is found["second_seccomp"] is True
    assert found["missing"] == []
    assert found["first"] == {"read a file outside": "EACCES", "make a socket": "EPERM", "start a process": "EPERM"}
    assert found["second"] == {"read a library": "EPERM", "start a thread": "EPERM"}


def test_an_attempt_that_passes_is_told_as_such() -> None:
    def refuse(fault: Exception) -> None:
        raise fault

    assert wall_probe._outcome(lambda: None) == wall_probe.PASSED
    assert wall_probe._outcome(lambda: refuse(OSError(errno.EACCES, "no"))) == "EACCES"
    assert wall_probe._outcome(lambda: refuse(OSError("nameless"))) == "EIO"
    assert wall_probe._outcome(lambda: refuse(RuntimeError("can't start new thread"))) == "EPERM"


def test_a_process_that_could_be_started_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(wall_probe.os, "_exit", ended.append)
    monkeypatch.setattr(wall_probe.os, "waitpid", lambda pid, _options: ended.append(pid))
    wall_probe._end_child(7)
    assert ended == [7]
    wall_probe._end_child(0)
    assert ended[1] == 0
