"""Whatever goes wrong, the command line says it in one line and with a status that means it."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from gateway.cli.main import main

MAIN = [sys.executable, "-m", "gateway.cli.main"]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("corral: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        ([], 2, "COMMAND (see 'corral --help')"),
        (["nonsense"], 2, "'nonsense'"),
        (["keys"], 2, "ACTION (see 'corral keys --help')"),
        (["keys", "create"], 2, "--team (see 'corral keys create --help')"),
        (["status", "--bogus"], 2, "--bogus"),
        (["audit", "tail", "-n", "x"], 2, "'x'"),
        (["audit", "verify", "a", "b"], 3, "b"),
        (["audit", "verify", "--bogus"], 3, "--bogus"),
    ],
)
def test_wrong_arguments(words: list[str], status: int, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == status
    assert named in said(capsys)


@pytest.mark.parametrize("command", ["serve", "status", "keys list", "teams list", "models list", "audit tail"])
def test_no_home(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CORRAL_HOME", "")  # as good as unset: never the working directory itself
    assert main(command.split()) in (2, 3)
    assert f"no Corral home at {tmp_path}/.corral" in said(capsys)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("corral ")


def run_into(stdout: int, *words: str, buffered: bool) -> tuple[int, bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    ended = subprocess.run(
        [*MAIN, *words], stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment, check=False
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("words", [["--help"], ["keys", "lint", os.devnull], ["keys", "lint", os.devnull, "--json"]])
def test_a_reader_that_went_away_is_no_fault(words: list[str], buffered: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert run_into(writer, *words, buffered=buffered) == (141, b"")
    os.close(writer)


def test_output_that_takes_no_more() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    status, err = run_into(full, "keys", "lint", os.devnull, buffered=True)
    os.close(full)
    assert (status, err) == (1, b"corral: cannot write to standard output: No space left on device\n")


def test_an_interrupt_is_none_of_the_commands_own_statuses() -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*MAIN, "keys", "lint", "-"],
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs the tests in the background has them, and so the command, ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
    )
    os.close(reader)
    os.write(writer, b"x")
    while process.poll() is None and unread(writer):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    os.close(writer)
    assert (process.returncode, out, err) == (130, b"", b"corral: interrupted\n")


def unread(writer: int) -> bool:
    """Whether bytes still lie in the pipe, that is, whether the command has not begun to read."""
    return int.from_bytes(fcntl.ioctl(writer, termios.FIONREAD, b"\0" * 4), sys.byteorder) > 0
