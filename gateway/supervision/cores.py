"""How many cores this process may really use: its affinity, and the quota of its cgroup (containers)."""

import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores for all processes of this Corral together; at least one."""
    try:
        quota = CGROUP_QUOTA.read_text("ascii")
    except OSError:
        quota = "max"  # no cgroup v2 here, or its root, which has no quota
    return cores_within(len(os.sched_getaffinity(0)), quota)


def cores_within(affinity: int, quota: str) -> int:
    """`affinity` cores cut down to a quota as cgroup v2's cpu.max words it: microseconds in a period.

    >>> cores_within(8, "150000 100000")
    1
    """
    allowed, _, period = quota.strip().partition(" ")
    if not (allowed.isdigit() and period.isdigit() and int(period)):
        return max(1, affinity)
    return max(1, min(affinity, int(allowed) // int(period)))
