"""Large blocks come from maps of their own, before and after others were freed."""

import subprocess
import sys

SCRIPT = """
from gateway.heap import keep_large_buffers_apart
import sys

def mapped_kib():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))

if not keep_large_buffers_apart():
    sys.exit(0)
freed = bytes(20 * 2**20)
del freed  # glibc would raise its threshold to 20 MiB here
before = mapped_kib()
held = [bytes(256 * 1024) for _ in range(40)]
grown = mapped_kib() - before
del held
assert mapped_kib() - before < 512, (grown, mapped_kib() - before)
assert grown >= 40 * 256, grown
"""


def test_freed_blocks_do_not_move_the_threshold() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
