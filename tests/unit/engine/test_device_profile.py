"""Which profile a worker gets, and that a profile opens what it names and no more: with /dev/zero for a GPU.

Whether the names of the profiles are those that drivers want is not shown: there is no GPU here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import landlock
from engine.device_profile import CPU, PROFILES, profile_for
from engine.syscall_allowlist import SERVING
from engine.syscall_filter import REFUSED, filter_library
from engine.walls import device_grants


@pytest.mark.parametrize(
    ("library", "backend"),
    [
        ("libggml-cuda.so", "cuda"),
        ("libggml-hip.so", "rocm"),
        ("libggml-sycl.so", "sycl"),
        ("libggml-vulkan.so", "vulkan"),
        ("libggml-cpu.so", "cpu"),
    ],
)
def test_the_backend_decides_and_only_with_layers_on_a_gpu(library: str, backend: str) -> None:
    assert profile_for({"libllama.so", library}, 20).backend == backend
    assert profile_for({"libllama.so", library}, 0) is CPU


def test_the_processor_asks_for_nothing() -> None:
    assert CPU.is_cpu
    assert CPU.device_nodes == CPU.read_paths == CPU.syscalls == ()
    assert device_grants(CPU) == {}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.backend)
def test_a_profile_names_nodes_and_opens_nothing_that_the_first_wall_refuses(profile) -> None:  # type: ignore[no-untyped-def]
    seccomp = filter_library()
    assert not profile.is_cpu
    assert all(node.startswith("/dev/") and not node.endswith("*/") for node in profile.device_nodes)
    assert not set(profile.syscalls) & set(REFUSED)
    assert "clone" in profile.syscalls
    assert len(set(profile.syscalls)) == len(profile.syscalls)
    assert all(seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0 for name in profile.syscalls)
    assert not {"socket", "execve", "connect", "ptrace"} & {*profile.syscalls, *SERVING}


def test_only_nodes_that_are_there_are_granted() -> None:
    found = device_grants(type(CPU)(backend="test", device_nodes=("/dev/nul[l]", "/dev/no-such-node*")))
    rights = landlock.READ_FILE | landlock.WRITE_FILE | landlock.DEVICE_IOCTL
    assert found == {Path("/dev/null"): rights}


WALLED = """
import errno, json, os, socket, threading
from pathlib import Path
from engine.device_profile import PROFILES, DeviceProfile
from engine.second_wall import second_wall
from engine.syscall_allowlist import SERVING
from engine.walls import first_wall
made_up = DeviceProfile(
    backend="test", device_nodes=("/dev/zer[o]",), read_paths=("/etc/host[s]",), syscalls=PROFILES[0].syscalls)
def probe(action):
    try:
        return str(action())
    except OSError as fault:
        return errno.errorcode[fault.errno]
def attempts():
    return dict(node=probe(lambda: os.read(os.open("/dev/zero", os.O_RDWR), 1)),
        facts=probe(lambda: os.close(os.open("/etc/hosts", os.O_RDONLY))),
        other=probe(lambda: os.open("/etc/passwd", os.O_RDONLY)), socket=probe(socket.socket),
        thread=probe(threading.Thread(target=os.getpid).start))
first_wall(read_files=[], memory_bytes=2**30, profile=made_up)
first = attempts()
report = second_wall(connections=8, calls=SERVING, profile=made_up)
print(json.dumps(dict(first=first, second=attempts(), missing=report.missing)))
"""


def test_a_profile_opens_its_nodes_through_both_walls_and_its_facts_through_the_first() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", WALLED],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[3]), "PATH": os.defpath},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    opened = {"node": r"b'\x00'", "thread": "None", "other": "EACCES", "socket": "EPERM"}
    assert json.loads(done.stdout) == {
        "first": opened | {"facts": "None"},
        "second": opened | {"facts": "EACCES"},
        "missing": [],
    }
