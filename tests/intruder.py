"""What a hijacked engine process would try, beside a stand-in for the gateway that holds a secret.

    python -m tests.intruder SPEC      (JSON: home, model, walled)

The stand-in starts the intruder as its child, as the supervisor starts a worker. The intruder tries everything at two
moments, before the model file is opened and after the warm-up, and prints for each what came of it: "done", or the
name of the errno that stopped it. Walled, it raises the two walls that engine.worker raises; otherwise none.
"""

import ctypes
import errno
import hashlib
import json
import os
import platform
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.second_wall import second_wall
from engine.serving_imports import import_for_worker
from engine.syscall_allowlist import SERVING
from engine.walls import first_wall

ROOT = Path(__file__).resolve().parents[1]
MOMENTS = ("before the file is opened", "after the warm-up")
SECRET_BYTES = 64
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WAIT_FOR_ANY = 0x40000000  # __WALL
PR_SET_PTRACER, ANYBODY = 0x59616D61, ctypes.c_ulong(-1)
CLONE_VFORK, SIGCHLD = 0x4000, 17
SYS_CLONE = {"x86_64": 56, "aarch64": 220}
libc = ctypes.CDLL(None, use_errno=True)
Attempts = dict[str, Callable[[], object]]


class Slice(ctypes.Structure):
    """A struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def gateway(spec: dict[str, Any]) -> int:
    """Hold a secret, listen three ways, and wait for the intruder."""
    secret = ctypes.create_string_buffer(secrets.token_bytes(SECRET_BYTES), SECRET_BYTES)
    libc.prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)  # where Yama restricts ptrace, so that the control can succeed
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(str(Path(spec["home"], "s")))
        abstract.bind("")  # the kernel names it
        for listener in (tcp, unix, abstract):
            listener.listen()
        spec |= {
            "port": tcp.getsockname()[1], "unix": unix.getsockname(), "abstract": abstract.getsockname().hex(),
            "address": ctypes.addressof(secret), "digest": hashlib.sha256(secret.raw).hexdigest(),
        }  # fmt: skip
        argv = [sys.executable, "-P", "-m", "tests.intruder", json.dumps(spec), "intrude"]
        return subprocess.run(argv, env={"PYTHONPATH": str(ROOT), "PATH": os.defpath}, check=False).returncode


def intrude(spec: dict[str, Any]) -> int:
    """Try everything at both moments."""
    model, found = Path(spec["model"]), {}
    attempts = [_attempts(spec) for _ in MOMENTS]  # sockets are made now, so that connecting is what is tried
    if spec["walled"]:
        first_wall(read_files=[model], memory_bytes=2 << 30)
    found[MOMENTS[0]] = _try(attempts[0])
    backend = _load(model)
    if spec["walled"]:
        import_for_worker()
        second_wall(connections=16, calls=SERVING)
    found[MOMENTS[1]] = _try(attempts[1])
    backend.warm_up()  # it still computes
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    return 0


def _load(model: Path) -> Any:
    from engine.batching.llama_backend import LlamaBackend  # noqa: PLC0415 - behind the wall, as in engine.worker

    backend = LlamaBackend(model, slots=1, context_tokens=256, batch_tokens=64, threads=2)
    backend.warm_up()
    return backend


def _try(attempts: Attempts) -> dict[str, str]:
    return {name: _outcome(attempt) for name, attempt in attempts.items()}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as fault:
        return errno.errorcode[fault.errno or 0]
    return "done"


def _attempts(spec: dict[str, Any]) -> Attempts:
    home = Path(spec["home"])
    return _on_files(home) | _on_sockets(spec) | _on_processes() | _on_the_gateway(spec)


def _on_files(home: Path) -> Attempts:
    return {
        "list the home": lambda: list(home.iterdir()),
        "read the keys": (home / "keys.db").read_bytes,
        "read the policy": (home / "policy.yaml").read_bytes,
        "read the TLS key": (home / "tls" / "key.pem").read_bytes,
        "read /etc/passwd": Path("/etc/passwd").read_bytes,
        "write into the home": lambda: (home / "policy.yaml").write_text("teams: {}"),
        "make a file": lambda: (home / "new").write_bytes(b""),
    }


def _on_sockets(spec: dict[str, Any]) -> Attempts:
    tcp, unix, abstract = socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    return {
        "make a TCP socket": lambda: socket.socket().close(),
        "make a Unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "connect by TCP": lambda: tcp.connect(("127.0.0.1", spec["port"])),
        "connect to a Unix socket": lambda: unix.connect(spec["unix"]),
        "connect to an abstract socket": lambda: abstract.connect(bytes.fromhex(spec["abstract"])),
    }


def _on_processes() -> Attempts:
    return {
        "exec": _exec,
        "fork": lambda: _end_child(os.fork()),
        "clone, as vfork does": _clone,
        "spawn, by vfork": lambda: subprocess.run(["/bin/true"], check=True),
        "memory without a name": lambda: os.close(os.memfd_create("x")),
    }


def _on_the_gateway(spec: dict[str, Any]) -> Attempts:
    pid = os.getppid()
    return {
        "signal the gateway": lambda: os.kill(pid, 0),
        "read the gateway's memory": lambda: _read_memory(pid, spec),
        "open the gateway's memory": lambda: _open_memory(pid, spec),
        "read the gateway's environment": Path(f"/proc/{pid}/environ").read_bytes,
        "trace the gateway": lambda: _trace(pid),
    }


def _exec() -> None:
    """In a child where there may be one, since it would be the end of this process."""
    try:
        pid = os.fork()
    except OSError:
        os.execv("/bin/true", ["true"])
    if pid == 0:
        try:
            os.execv("/bin/true", ["true"])
        except OSError as fault:
            os._exit(fault.errno or 255)
    if status := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise OSError(status, os.strerror(status))


def _clone() -> None:
    number = SYS_CLONE[platform.machine()]
    _end_child(_checked(libc.syscall(number, ctypes.c_ulong(CLONE_VFORK | SIGCHLD), None, None, None, None)))


def _end_child(pid: int) -> None:
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _trace(pid: int) -> None:
    """Attach, stop it, and let it go."""
    _checked(libc.ptrace(PTRACE_SEIZE, pid, None, None))
    _checked(libc.ptrace(PTRACE_INTERRUPT, pid, None, None))
    os.waitpid(pid, WAIT_FOR_ANY)
    _checked(libc.ptrace(PTRACE_DETACH, pid, None, None))


def _read_memory(pid: int, spec: dict[str, Any]) -> None:
    buffer = ctypes.create_string_buffer(SECRET_BYTES)
    mine, theirs = Slice(ctypes.addressof(buffer), SECRET_BYTES), Slice(spec["address"], SECRET_BYTES)
    _checked(libc.process_vm_readv(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0))
    _check_secret(buffer.raw, spec)


def _open_memory(pid: int, spec: dict[str, Any]) -> None:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        _check_secret(os.pread(memory.fileno(), SECRET_BYTES, spec["address"]), spec)


def _check_secret(data: bytes, spec: dict[str, Any]) -> None:
    assert hashlib.sha256(data).hexdigest() == spec["digest"], "not the secret"


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    sys.exit(intrude(asked) if sys.argv[2:] == ["intrude"] else gateway(asked))
