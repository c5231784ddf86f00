"""Long commands: their output in a log, their progress on a line, nothing left behind when interrupted."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from setup.faults import SetupFault
from setup.progress import ProgressLine, last_error, read_step, run_logged, stop_group


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ManualClock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_last_step_counts() -> None:
    assert read_step("Collecting aiohttp\n  [3/193] /usr/bin/g++ -c a.cpp\n  [4/193] cc\n") == "compiling 4 of 193"
    assert read_step("[9/9] link\nInstalling collected packages: a, b\n") == "installing collected packages"
    assert read_step("Collecting yarl==1.25.1 (from -r x)\n") == "collecting yarl"
    assert read_step("nothing to see") == ""


def test_the_last_error_explains_a_failure() -> None:
    assert last_error("ERROR: hashes differ\nnote: something\n\n") == "ERROR: hashes differ"
    assert last_error("one\ntwo\n") == "two"
    assert last_error("") == "no output"


def test_a_line_each_fifteen_seconds_without_a_terminal() -> None:
    stream, clock = io.StringIO(), ManualClock()
    line = ProgressLine("Building", stream, clock)
    for second in range(1, 32):
        clock.now_s = 100.0 + second
        line.update(lambda: "compiling 2 of 9" if clock.now_s < 120 else "")
    line.close()
    assert stream.getvalue().splitlines() == [
        "Building ...",
        "Building ... 0:15 compiling 2 of 9",
        "Building ... 0:30 compiling 2 of 9",  # the last step known
        "Building: done in 31 s",
    ]


def test_one_line_written_over_on_a_terminal() -> None:
    stream, clock = FakeTerminal(), ManualClock()
    line = ProgressLine("Building", stream, clock)
    clock.now_s += 61
    line.update(lambda: "x" * 500)
    line.close()
    assert stream.getvalue().count("\n") == 1
    assert "1:01" in stream.getvalue()
    assert max(len(part) for part in stream.getvalue().split("\r\x1b[K")) < 500


def test_output_goes_to_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_text("earlier\n")
    run_logged("Saying", [sys.executable, "-c", "print('said')"], log, {})
    assert log.read_text() == "earlier\nsaid\n"
    assert "Saying: done" in capsys.readouterr().out


def test_a_failure_names_its_error_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("error: of an earlier run\n")
    with pytest.raises(SetupFault, match=rf"Failing failed: ERROR: no wheel .*{log}"):
        run_logged("Failing", ["/bin/sh", "-c", "echo ERROR: no wheel; exit 3"], log, {})


def test_an_interrupt_ends_the_whole_group() -> None:
    # A shell's background process ignores SIGINT; it must not be left behind.
    command = ["/bin/sh", "-c", "sleep 600 & echo started; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        stop_group(process)
        assert process.stdout.read() == b""  # the end comes only when the grandchild has closed it too
    assert process.returncode == -signal.SIGINT


def test_a_command_that_ended_is_left_alone() -> None:
    with subprocess.Popen(["/bin/true"], process_group=0) as process:
        process.wait()
        stop_group(process)
    assert process.returncode == 0
