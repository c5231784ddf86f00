import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from engine.preparing.time_limit import TimeLimitReached, time_limit

ROOT = Path(__file__).resolve().parents[4]


def spin() -> None:
    while True:
        pass


def spin_and_swallow_once() -> None:
    with suppress(TimeLimitReached):
        spin()
    spin()


def test_python_code_is_stopped_and_the_clock_with_it() -> None:
    with pytest.raises(TimeLimitReached), time_limit(0.2):
        spin()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_work_in_time_is_left_alone() -> None:
    with time_limit(5):
        value = sum(range(1000))
    assert value == 499500
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_swallowed_alarm_rings_again() -> None:
    with pytest.raises(TimeLimitReached), time_limit(0.3):  # rings at 0.3 and 0.35 s; the hard limit is 0.6 s
        spin_and_swallow_once()


def test_work_stuck_in_c_ends_the_process() -> None:
    code = """
from engine.preparing.time_limit import time_limit
import hashlib
with time_limit(0.1):
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2**31 - 1)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env={"PYTHONPATH": str(ROOT), "PATH": os.defpath}, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGPROF
