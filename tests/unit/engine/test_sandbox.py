"""A kernel without landlock, made of this one by a filter: `required` refuses on a line, `best` serves and says so."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.death import CANNOT_LOAD
from engine.frames import PROTOCOL_VERSION, Describe, Description, Hello, PreparerHello, encode
from tests.unit.engine.preparing.test_preparer_service import Gateway
from tests.unit.engine.tiny_gguf import write_vocabulary

ROOT = Path(__file__).resolve().parents[3]
WITHOUT_LANDLOCK = """
import errno, os, sys, pyseccomp
old = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
for number in (444, 445, 446):
    old.add_rule(pyseccomp.ERRNO(errno.ENOSYS), number)
old.load()
os.execv(sys.executable, [sys.executable, "-P", *sys.argv[1:]])
"""


@contextmanager
def preparer(folder: Path, sandbox: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    model, path = write_vocabulary(folder / "m.gguf"), folder / "s"
    options = {
        "model-file": model, "model": "tiny:1", "context-tokens": 256, "timeout-s": 2, "memory-bytes": 2**30,
        "sandbox": sandbox,
    }  # fmt: skip
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        pairs = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        process = subprocess.Popen(
            [
                sys.executable, "-c", WITHOUT_LANDLOCK, "-m", "engine.preparer", "--listen-fd", str(listener.fileno()),
                *pairs,
            ],
            env={"PYTHONPATH": str(ROOT), "PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1"},
            pass_fds=(listener.fileno(),),
            stderr=subprocess.PIPE,
        )  # fmt: skip
    try:
        yield process, path
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_required_opens_no_model_without_landlock(tmp_path: Path) -> None:
    with preparer(tmp_path, "required") as (process, _path):
        _, errors = process.communicate(timeout=60)
    assert process.returncode == CANNOT_LOAD
    assert errors.count(b"\n") == 1
    assert errors.startswith(b"preparer: cannot load tiny:1: its walls would lack landlock (this kernel has none")
    assert b"engine.sandbox: best" in errors


def test_best_serves_behind_what_is_left_and_says_what_is_not(tmp_path: Path) -> None:
    with preparer(tmp_path, "best") as (process, path):
        gateway = Gateway(path)
        gateway.stream.settimeout(60)
        assert isinstance(gateway.ask(encode(Hello(version=PROTOCOL_VERSION))), PreparerHello)
        assert isinstance(gateway.ask(encode(Describe(id=1))), Description)
        assert "Seccomp_filters:\t3" in Path(f"/proc/{process.pid}/status").read_text()  # its two, and the one above
        gateway.stream.close()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == (
        b"preparer: tiny:1: the wall lacks landlock (this kernel has none, or it is off)\n"
        b"preparer: tiny:1: the second wall lacks landlock (this kernel has none, or it is off)\n"
    )
