"""One model file, opened by a real worker behind its walls, and asked one question if it serves.

The worker is started as the supervisor starts it. What became of it: it refused the file with one line (status 3), ran
out of its memory cap (status 4), was ended by a signal, or served and ended with status 0. A worker that does none of
it within the time limit is stuck; the caller judges.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
from pathlib import Path

from msgspec import Struct

from engine.death import CANNOT_LOAD, OUT_OF_MEMORY, exit_cause
from engine.frames import PROTOCOL_VERSION, Ended, FrameReader, Hello, Start, Step, WorkerAnswer, encode
from engine.links.call_frames import pack_ids
from engine.plan import ProcessPlan
from gateway.supervision.child_commands import engine_command
from policies.call import Sampling

MEMORY_CAP_BYTES = 768 * 1024 * 1024
LIMIT_S = 120.0
QUESTION = tuple(range(40, 72))
GREEDY = Sampling(temperature=0.0, seed=1)


class Outcome(Struct, frozen=True, kw_only=True):
    """How a worker ended. `said` is its last line on stderr, `peak_bytes` the most memory it had (resident)."""

    kind: str
    returncode: int
    said: str
    answered: bool
    peak_bytes: int

    @property
    def cause(self) -> str:
        """Its end in words."""
        return exit_cause(self.returncode)


def trial(model_file: Path, folder: Path) -> Outcome:
    """Start a worker on `model_file`; its socket lies in `folder`."""
    path = folder / "w.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(4)
        command = engine_command(_plan(model_file, path), listener.fileno())
        process = subprocess.Popen(  # our own interpreter and arguments
            command.argv,
            env=command.environment,
            pass_fds=command.passed_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )
    answered = _ask(path, process)
    return _ended(process, answered)


def _plan(model_file: Path, path: Path) -> ProcessPlan:
    return ProcessPlan(
        name="worker-0",
        role="chat",
        model="hostile",
        model_file=str(model_file),
        socket=str(path),
        slots=2,
        context_tokens=256,
        batch_tokens=64,
        threads=1,
        memory_bytes=MEMORY_CAP_BYTES,
        timeout_s=2.0,
    )


def _ask(path: Path, process: "subprocess.Popen[bytes]") -> bool:
    """Whether the worker answers a question; False as soon as it has ended."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(LIMIT_S)
        with contextlib.suppress(OSError):  # it may be gone before, during and after
            stream.connect(str(path))
            stream.sendall(encode(Hello(version=PROTOCOL_VERSION)) + encode(_start()))
            return _reads_an_end(stream, process)
    return False


def _start() -> Start:
    return Start(id=1, token_ids=(pack_ids(QUESTION),), sampling=GREEDY, max_output_tokens=8, cache_scope="")


def _reads_an_end(stream: socket.socket, process: "subprocess.Popen[bytes]") -> bool:
    reader, pidfd = FrameReader(WorkerAnswer), os.pidfd_open(process.pid)
    try:
        while True:
            readable, _, _ = select.select([stream, pidfd], [], [], LIMIT_S)
            data = stream.recv(1 << 16) if stream in readable else b""
            if not data:
                return False
            for frame in reader.feed(data):
                if isinstance(frame, Step) and any(isinstance(each, Ended) for each in frame.ended):
                    return True
    finally:
        os.close(pidfd)


def _ended(process: "subprocess.Popen[bytes]", answered: bool) -> Outcome:
    if answered:
        process.send_signal(signal.SIGTERM)
    said, stuck = _rest_of_stderr(process)
    if stuck:
        process.kill()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Outcome(
        kind="stuck" if stuck else _kind(process.returncode),
        returncode=process.returncode,
        said=(said.decode("utf-8", "replace").splitlines() or [""])[-1],
        answered=answered,
        peak_bytes=usage.ru_maxrss * 1024,
    )


def _rest_of_stderr(process: "subprocess.Popen[bytes]") -> tuple[bytes, bool]:
    """All that it still says until it ends, and whether it did not within the time limit."""
    assert process.stderr is not None
    said = b""
    with process.stderr as pipe:
        while select.select([pipe], [], [], LIMIT_S)[0]:
            if not (data := os.read(pipe.fileno(), 1 << 16)):
                return said, False
            said += data
    return said, True


def _kind(returncode: int) -> str:
    by_status = {0: "served", CANNOT_LOAD: "refused", OUT_OF_MEMORY: "out of memory"}
    return by_status.get(returncode, "died" if returncode < 0 else "failed")
