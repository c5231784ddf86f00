"""Behind the second wall a process computes and talks on what is open, and nothing else: a real kernel."""

import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import landlock, second_wall, walls
from engine.second_wall import SecondWallReport
from engine.syscall_allowlist import PREPARING, SERVING

ROOT = Path(__file__).resolve().parents[3]
PRELUDE = """
import ctypes, errno, gc, json, os, resource, select, signal, socket, sys, threading, time
from pathlib import Path
from engine.second_wall import second_wall
from engine.syscall_allowlist import PREPARING, SERVING
from engine.walls import first_wall
folder, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
kept = os.open(folder / "kept", os.O_RDWR | os.O_CREAT, 0o600)
before_both, unconnected = socket.socketpair(), socket.socket(socket.AF_UNIX)
first_wall(read_files=[folder], memory_bytes=2**30)
gate, answers = threading.Event(), []
def old_thread():
    gate.wait()
    answers.append(probe(lambda: open(folder / "file")))
    answers.append(probe(lambda: os.fork()))
libc = ctypes.CDLL(None, use_errno=True)
def probe(action):
    try:
        return str(action())
    except OSError as fault:
        return errno.errorcode[fault.errno]
    except RuntimeError as fault:
        return "RuntimeError"
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result
thread = threading.Thread(target=old_thread)
thread.start()
had = probe(lambda: open(folder / "file").read())
"""
WALL = "report = second_wall(connections=4, calls=SERVING)\n"
END = "gate.set(); thread.join()\n"


def behind_both(tmp_path: Path, code: str, wall: str = WALL) -> dict[str, Any]:
    """Run `code` in a child behind both walls; it fills `said`."""
    (tmp_path / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        client.connect(str(tmp_path / "s"))
        client.sendall(b"hello")
        done = subprocess.run(
            [
                sys.executable, "-P", "-c", PRELUDE + wall + code + END + "print(json.dumps(said))\n", str(tmp_path),
                str(listener.fileno()),
            ],
            env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
            cwd=tmp_path,
            pass_fds=(listener.fileno(),),
            capture_output=True,
            timeout=60,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_nothing_can_be_opened_started_or_reached(tmp_path: Path) -> None:
    found = behind_both(
        tmp_path,
        """
said = dict(model=probe(lambda: open(folder / "file")), stat=probe(lambda: os.stat(folder)),
    library=probe(lambda: open(os.__file__)), listing=probe(lambda: os.listdir(folder)),
    null=probe(lambda: open("/dev/null", "w")), new=probe(lambda: open("new", "w")),
    socket=probe(lambda: socket.socket(socket.AF_UNIX)), pair=probe(socket.socketpair),
    connect=probe(lambda: unconnected.connect("s")), fork=probe(os.fork),
    execute=probe(lambda: os.execv("/bin/true", ["true"])), pipe=probe(os.pipe), dup=probe(lambda: os.dup(2)),
    parent=probe(lambda: os.kill(os.getppid(), 0)), own=probe(lambda: os.kill(os.getpid(), 0)),
    limits=probe(lambda: resource.getrlimit(resource.RLIMIT_CORE)), memfd=probe(lambda: os.memfd_create("x")))
""",
    )
    assert set(found.values()) == {"EPERM"}, found


def test_threads_that_were_there_before_are_walled_in_too(tmp_path: Path) -> None:
    found = behind_both(tmp_path, "gate.set(); thread.join(); said = dict(had=had, thread=answers)\n")
    assert found == {"had": "x", "thread": ["EPERM", "EPERM"]}


def test_no_new_thread_and_no_new_code(tmp_path: Path) -> None:
    found = behind_both(
        tmp_path,
        """
import mmap
said = dict(thread=probe(threading.Thread(target=print).start), late=probe(lambda: mmap.mmap(-1, 4096)),
    code=probe(lambda: mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_EXEC)),
    memory=probe(lambda: len(mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))),
    terminal=probe(lambda: __import__("fcntl").ioctl(2, 0x5413, b"12345678")))
""",
        wall="import mmap, fcntl\n" + WALL,
    )
    assert found.pop("memory") == "4096"
    assert found.pop("thread") == "RuntimeError"
    assert set(found.values()) == {"EPERM"}, found


def test_what_serving_needs_still_works(tmp_path: Path) -> None:
    found = behind_both(
        tmp_path,
        """
listener.setblocking(False)
waiting = select.poll(); waiting.register(listener, select.POLLIN); waiting.poll(10000)
stream, _ = listener.accept()
stream.setblocking(False)
got = stream.recv(5).decode()
stream.sendall(b"x")
before_both[0].sendall(b"y")
junk = [bytearray(2**20) for _ in range(64)]; del junk; gc.collect()
signal.signal(signal.SIGTERM, lambda *_: answers.append("told"))
said = dict(got=got, pair=before_both[1].recv(1).decode(), time=time.monotonic() > 0, random=len(os.urandom(8)),
    slept=time.sleep(0.001), pid=os.getpid() > 0, abi=report.landlock_abi, all=report.binds_all_threads,
    seccomp=report.seccomp, missing=report.missing, wrote=sys.stderr.write("z"))
stream.close()
""",
    )
    assert found.pop("abi") == landlock.kernel_abi() > 0
    assert found.pop("all") == (landlock.kernel_abi() >= 8)
    assert found == {
        "got": "hello", "pair": "y", "time": True, "random": 8, "slept": None, "pid": True, "seccomp": True,
        "missing": [], "wrote": 1,
    }  # fmt: skip


def test_callbacks_for_c_code_can_still_be_made(tmp_path: Path) -> None:
    """libffi made its trampolines, which are code, for the first one (the log's); a decode makes one more each time."""
    found = behind_both(
        tmp_path,
        """
count = 0
for number in range(1000):
    count += kind(lambda: 1)()
said = dict(count=count + first())
""",
        wall="kind = ctypes.CFUNCTYPE(ctypes.c_int)\nfirst = kind(lambda: 1)\n" + WALL,
    )
    assert found == {"count": 1001}


def test_only_so_many_descriptors_can_be_added_wherever_the_open_ones_lie(tmp_path: Path) -> None:
    found = behind_both(
        tmp_path,
        """
added = [probe(lambda: os.dup(2)) for _ in range(5)]
said = dict(added=[number.isdigit() for number in added], last=added[-1], high=probe(lambda: os.write(200, b"z")))
""",
        wall="""
os.dup2(2, 200)
report = second_wall(connections=4, calls=(*SERVING, "fcntl"))  # os.dup is one
""",
    )
    assert found == {"added": [True] * 4 + [False], "last": "EMFILE", "high": "1"}


def test_a_preparer_has_its_timers_and_its_selector(tmp_path: Path) -> None:
    found = behind_both(
        tmp_path,
        """
rang = []
signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01)
ready = chooser.select(10)
while not rang:
    time.sleep(0.005)
said = dict(ready=len(ready), rang=rang)
""",
        wall="""
import selectors
chooser = selectors.DefaultSelector(); chooser.register(listener, selectors.EVENT_READ)
report = second_wall(connections=4, calls=PREPARING)
""",
    )
    assert found == {"ready": 1, "rang": [1]}


def test_a_bug_is_still_told_by_its_type_and_place(tmp_path: Path) -> None:
    found = behind_both(
        tmp_path,
        """
try:
    raise KeyError("a secret")
except KeyError:
    sys.excepthook(*sys.exc_info())
said = dict(told=list(answers))
""",
        wall="""
from engine.own_stderr import mute_libraries
from engine.serving_imports import import_for_worker
mute_libraries(); import_for_worker()
class Kept:
    def write(self, text): answers.append(text)
    def flush(self): pass
sys.stderr = Kept()
"""
        + WALL,
    )
    assert len(found["told"]) == 1
    assert found["told"][0].startswith("ended by KeyError at <string>:")


def test_no_byte_goes_into_a_file_that_was_open_before(tmp_path: Path) -> None:
    found = behind_both(tmp_path, "said = dict(wrote=probe(lambda: os.write(kept, b'x')))\n")
    assert found == {"wrote": "EFBIG"}
    assert (tmp_path / "kept").read_bytes() == b""


def test_what_the_machine_lacks_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without touching this process: every step is replaced by one that this machine refuses."""

    def refuse(*_arguments: object, **_more: object) -> Any:
        raise OSError(95, "Operation not supported")

    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(landlock, "restrict", refuse)
    monkeypatch.setattr(landlock, "kernel_abi", lambda: 1)
    monkeypatch.setattr(second_wall, "load_allow_list", refuse)
    monkeypatch.setattr(walls.resource, "setrlimit", limits.__setitem__)
    report = second_wall.second_wall(connections=3, calls=SERVING)
    assert isinstance(report, SecondWallReport)
    assert (report.landlock_abi, report.seccomp, report.binds_all_threads, len(report.missing)) == (0, False, False, 2)
    assert limits[resource.RLIMIT_FSIZE] == limits[resource.RLIMIT_NPROC] == limits[resource.RLIMIT_CORE] == (0, 0)
    assert limits[resource.RLIMIT_NOFILE][0] == report.descriptor_limit >= 6


def test_a_driver_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(landlock, "restrict", lambda _grants: 8)
    monkeypatch.setattr(second_wall, "load_allow_list", lambda *_arguments, **_more: None)
    monkeypatch.setattr(walls.resource, "setrlimit", limits.__setitem__)
    profile = second_wall.DeviceProfile(backend="test", device_nodes=("/dev/null",))
    report = second_wall.second_wall(connections=1, calls=PREPARING, profile=profile)
    assert (report.missing, report.binds_all_threads) == ((), True)
    assert resource.RLIMIT_NPROC not in limits
