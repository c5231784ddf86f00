"""Behind the first wall nothing can be reached but the model and the interpreter: real kernel, real system calls."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import landlock, walls
from engine.walls import WallReport, first_wall, interpreter_paths
from tests.unit.engine.tiny_gguf import write_vocabulary

ROOT = Path(__file__).resolve().parents[3]
PRELUDE = """
import ctypes, errno, json, os, resource, signal, socket, sys, threading
from pathlib import Path
from engine.walls import first_wall
model, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
report = first_wall(read_files=[model], memory_bytes=int(sys.argv[3]))
libc = ctypes.CDLL(None, use_errno=True)
def probe(action):
    try:
        return str(action())
    except OSError as fault:
        return errno.errorcode[fault.errno]
    except MemoryError:
        return "MemoryError"
    except RuntimeError:
        return "RuntimeError"
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result
def say(**values):
    print(json.dumps(values))
"""


def behind_wall(tmp_path: Path, code: str, memory_bytes: int = 2**30) -> dict[str, Any]:
    """Run `code` in a child behind the wall; it may read a tiny vocabulary, and says its findings."""
    model = write_vocabulary(tmp_path / "model.gguf")
    with_socket = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(with_socket))
        listener.listen()
        client.connect(str(with_socket))
        client.sendall(b"hello")
        done = subprocess.run(
            [sys.executable, "-P", "-c", PRELUDE + code, str(model), str(listener.fileno()), str(memory_bytes)],
            env={"PYTHONPATH": str(ROOT), "PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1"},
            cwd=tmp_path,
            pass_fds=(listener.fileno(),),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_files_beyond_the_model_cannot_be_read_written_or_changed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    found = behind_wall(
        tmp_path,
        """
say(model=probe(lambda: model.read_bytes()[:4]), passwd=probe(lambda: open("/etc/passwd")),
    beside=probe(lambda: open("secret")), listing=probe(lambda: os.listdir(".")),
    write=probe(lambda: open("new", "w")), model_write=probe(lambda: open(model, "r+b")),
    tmp=probe(lambda: open("/tmp/corral-wall-probe", "w")), proc=probe(lambda: open(f"/proc/{os.getppid()}/environ")),
    unlink=probe(lambda: os.unlink("secret")), rename=probe(lambda: os.rename("secret", "gone")),
    mkdir=probe(lambda: os.mkdir("folder")), chmod=probe(lambda: os.chmod("secret", 0o777)),
    chown=probe(lambda: os.chown("secret", 1, 1)), utime=probe(lambda: os.utime("secret")),
    truncate=probe(lambda: os.truncate("secret", 0)), link=probe(lambda: os.symlink("a", "b")),
    null=probe(lambda: open("/dev/null", "w").write("x")))
""",
    )
    assert (found.pop("model"), found.pop("null")) == ("b'GGUF'", "1")
    assert set(found.values()) <= {"EACCES", "EPERM"}, found
    assert (tmp_path / "secret").read_text() == "x"


def test_no_network_no_program_no_process(tmp_path: Path) -> None:
    found = behind_wall(
        tmp_path,
        """
def vector(path):
    return (ctypes.c_char_p * 2)(path, None)
say(tcp=probe(lambda: socket.socket()), udp=probe(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    unix=probe(lambda: socket.socket(socket.AF_UNIX)), packet=probe(lambda: socket.socket(17, 3)),
    execute=probe(lambda: os.execv("/bin/true", ["true"])), fork=probe(os.fork),
    vfork=call(58), posix_spawn=probe(lambda: os.posix_spawn("/bin/true", ["true"], {})),
    system=os.system("true") != 0,
    parent=probe(lambda: os.kill(os.getppid(), 0)), group=probe(lambda: os.kill(0, 0)),
    everyone=probe(lambda: os.kill(-1, 0)), tkill=call(200, os.getppid(), 0),
    tgkill=call(234, os.getppid(), os.getppid(), 0), pidfd=probe(lambda: os.pidfd_open(os.getppid())),
    limits=probe(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE)))
"""
        if os.uname().machine == "x86_64"
        else """
say(tcp=probe(lambda: socket.socket()), unix=probe(lambda: socket.socket(socket.AF_UNIX)),
    execute=probe(lambda: os.execv("/bin/true", ["true"])), fork=probe(os.fork), system=os.system("true") != 0,
    parent=probe(lambda: os.kill(os.getppid(), 0)), pidfd=probe(lambda: os.pidfd_open(os.getppid())))
""",
    )
    assert found.pop("system") is True
    assert set(found.values()) == {"EPERM"}, found


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of system calls")
def test_the_kernels_larger_interfaces_are_closed(tmp_path: Path) -> None:
    found = behind_wall(
        tmp_path,
        """
numbers = dict(ptrace=101, process_vm_readv=310, process_vm_writev=311, mount=165, umount=166, bpf=321,
    perf=298, io_uring=425, userfaultfd=323, keyctl=250, add_key=248, unshare=272, setns=308, memfd=319, shmget=29,
    personality=135, pivot_root=155, open_by_handle=304)
found = {name: call(number, 0, 0, 0, 0, 0) for name, number in numbers.items()}
say(clone3=call(435, 0, 0), terminal=call(16, 0, 0x5412, 0),
    terminal_high=call(16, 0, ctypes.c_uint64(0x100005412), 0),
    shared=call(9, 0, 4096, 3, 0x21, ctypes.c_long(-1), 0), **found)
""",
    )
    assert found.pop("clone3") == "ENOSYS"
    assert set(found.values()) == {"EPERM"}, found


def test_what_a_worker_needs_still_works(tmp_path: Path) -> None:
    found = behind_wall(
        tmp_path,
        """
stream, _ = listener.accept()
got = stream.recv(5)
stream.sendall(b"x")
stream.close()
first, second = socket.socketpair()
first.sendall(b"y")
worked = []
thread = threading.Thread(target=lambda: worked.append(1))
thread.start(); thread.join()
from engine.llama import load_vocabulary
ids = load_vocabulary(model).tokenize("hello", special=True, bos=False).tolist()
import numpy, jinja2
say(got=got.decode(), pair=second.recv(1).decode(), thread=worked, ids=len(ids),
    own=probe(lambda: os.kill(os.getpid(), 0)), report={name: getattr(report, name) for name in report.__slots__})
""",
    )
    assert (found["got"], found["pair"], found["thread"], found["own"]) == ("hello", "y", [1], "None")
    assert found["ids"] > 0
    report = found["report"]
    assert report["missing"] == []
    assert report["landlock_abi"] == landlock.kernel_abi() > 0
    assert report["no_new_privs"]
    assert report["seccomp"]
    assert report["capabilities_dropped"]


def test_memory_is_capped_and_the_cap_cannot_be_raised(tmp_path: Path) -> None:
    found = behind_wall(
        tmp_path,
        """
def raised():
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        return "refused"
say(much=probe(lambda: len(bytearray(300 * 2**20))), some=probe(lambda: len(bytearray(20 * 2**20))), raised=raised(),
    core=resource.getrlimit(resource.RLIMIT_CORE))
""",
        memory_bytes=128 * 2**20,
    )
    assert found == {"much": "MemoryError", "some": str(20 * 2**20), "raised": "refused", "core": [0, 0]}


def test_a_thread_started_before_is_named(tmp_path: Path) -> None:
    code = """
import os, sys, threading
from pathlib import Path
from engine.walls import first_wall
stop = threading.Event()
threading.Thread(target=stop.wait).start()
print(first_wall(read_files=[], memory_bytes=2**30).missing)
sys.stdout.flush()
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"landlock in 1 threads" in done.stdout


def test_a_missing_model_file_is_an_error_before_anything_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        first_wall(read_files=[tmp_path / "none"], memory_bytes=2**30)


def test_the_working_directory_and_the_projects_root_are_never_granted() -> None:
    granted = interpreter_paths()
    assert ROOT not in granted
    assert Path("/") not in granted
    assert ROOT / "engine" in granted
    assert ROOT / "policies" in granted
    assert ROOT / "gateway" not in granted


def test_what_the_machine_lacks_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without touching this process: every step is replaced by one that this machine refuses."""

    def refuse(*_arguments: object) -> Any:
        raise OSError(95, "Operation not supported")

    def no_library() -> Any:
        raise RuntimeError("Unable to find libseccomp")

    class Refusing:
        def __getattr__(self, _name: str) -> Any:
            return lambda *_arguments: -1

    monkeypatch.setattr(walls, "filter_library", no_library)
    monkeypatch.setattr(landlock, "restrict", refuse)
    monkeypatch.setattr(landlock, "kernel_abi", lambda: 3)
    monkeypatch.setattr(walls.resource, "setrlimit", lambda _which, _limits: None)
    monkeypatch.setattr(walls.ctypes, "CDLL", lambda _name: Refusing())
    report = first_wall(read_files=[tmp_path], memory_bytes=2**30)
    assert isinstance(report, WallReport)
    assert (report.no_new_privs, report.landlock_abi, report.seccomp, report.capabilities_dropped) == (
        False,
        0,
        False,
        False,
    )
    assert len([gap for gap in report.missing if "threads" not in gap]) == 4
    monkeypatch.setattr(landlock, "kernel_abi", lambda: 0)
    monkeypatch.setattr(walls, "filter_library", lambda: None)
    assert any("this kernel has none" in gap for gap in first_wall(read_files=[], memory_bytes=2**30).missing)
