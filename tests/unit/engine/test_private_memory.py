"""Every kind of process closes its memory as it starts. In processes of their own: it cannot be undone."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TELL = """
import ctypes, resource
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
{act}
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""
OPEN_OF_AN_ORDINARY_USER = """
import ctypes, os
from engine.private_memory import keep_memory_private
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
before = os.stat("/proc/self/mem").st_uid == os.geteuid()
keep_memory_private()
print(before, os.stat("/proc/self/mem").st_uid, len(os.listdir("/proc/self/fd")) > 2, open("/proc/self/status").read(4))
"""


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT).stdout.strip()


@pytest.mark.parametrize(
    "act",
    [
        "from engine.private_memory import keep_memory_private; keep_memory_private()",
        "from engine.process_start import die_with_supervisor; die_with_supervisor()",  # worker and preparer
        "from gateway.process import _harden; _harden()",
    ],
)
def test_not_dumpable_and_no_core(act):
    assert run(TELL.format(act=act)) == "0 0 0"


def test_without_it_there_would_be_both():
    assert run(TELL.format(act="")).startswith("1 ")


def test_an_ordinary_users_other_processes_cannot_look_in_and_it_still_sees_itself():
    assert run(OPEN_OF_AN_ORDINARY_USER) == "True 0 True Name"
