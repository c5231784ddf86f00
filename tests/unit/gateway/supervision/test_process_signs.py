import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.supervision.process_signs import Signs, memory_kills, signs_of

STAT = "12 (a ) b) S " + " ".join(str(number) for number in range(4, 53)) + "\n"


def proc(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_work_is_processor_time_and_pages_read_whatever_the_name_holds(tmp_path: Path) -> None:
    assert signs_of(12, proc(tmp_path, **{"12__stat": STAT})) == Signs(12 + 14 + 15, is_stopped=False)
    assert signs_of(12, proc(tmp_path, **{"12__stat": STAT.replace(") S", ") T")})) == Signs(41, is_stopped=True)


@pytest.mark.parametrize("content", ["", "12 (a", "12 (a) S 1 2", "12 (a) S " + "x " * 49])
def test_what_cannot_be_read_is_not_guessed(tmp_path: Path, content: str) -> None:
    assert signs_of(12, proc(tmp_path, **{"12__stat": content})) is None
    assert signs_of(13, tmp_path) is None


def test_a_real_process_works_and_is_seen_to_be_stopped() -> None:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before = signs_of(process.pid)
        deadline = time.monotonic() + 60
        while (now := signs_of(process.pid)) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert before is not None
        assert now is not None
        assert now.work > before.work
        os.kill(process.pid, signal.SIGSTOP)
        while not ((now := signs_of(process.pid)) and now.is_stopped) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert now is not None
        assert now.is_stopped
    finally:
        process.kill()
        process.wait()
    assert signs_of(process.pid) is None


def test_kills_for_memory_are_those_of_our_cgroup_before_the_machines(tmp_path: Path) -> None:
    cgroups = proc(tmp_path / "c", **{"a__b__memory.events": "low 0\noom 4\noom_kill 3\n"})
    machine = proc(tmp_path / "p", self__cgroup="1:x:/\n0::/a/b\n", vmstat="nr_free 1\noom_kill 9\n")
    assert memory_kills(machine, cgroups) == 3
    (cgroups / "a/b/memory.events").write_text("low 0\n")
    assert memory_kills(machine, cgroups) == 9
    (machine / "self/cgroup").unlink()
    (machine / "vmstat").write_text("oom_kill many\n")
    assert memory_kills(machine, cgroups) is None
    assert memory_kills(tmp_path / "none", tmp_path / "none") is None
