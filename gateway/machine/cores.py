"""How many cores this process may really use: its affinity, and the quotas of its cgroups (containers)."""

import os
from pathlib import Path

from gateway.machine.cgroups import group_folders

ROOT = Path("/")


def usable_cores(root: Path = ROOT) -> int:
    """Cores for all processes of this Corral together; at least one."""
    return cores_within(len(os.sched_getaffinity(0)), *_quotas(root))


def cores_within(affinity: int, *quotas: str) -> int:
    """`affinity` cores cut down to quotas as cgroup v2's cpu.max words them: microseconds in a period.

    >>> cores_within(8, "150000 100000")
    1
    """
    cores = affinity
    for quota in quotas:
        allowed, _, period = quota.strip().partition(" ")
        if allowed.isdigit() and period.isdigit() and int(period):
            cores = min(cores, int(allowed) // int(period))
    return max(1, cores)


def _quotas(root: Path) -> list[str]:
    """The quotas on the way up, in the words of version 2; none where there is no cgroup."""
    quotas = []
    for folder in group_folders(_read(root / "proc/self/cgroup"), "cpu"):
        group = root / folder
        quotas.append(_read(group / "cpu.max"))
        quotas.append(f"{_read(group / 'cpu.cfs_quota_us').strip()} {_read(group / 'cpu.cfs_period_us').strip()}")
    return quotas


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except OSError:
        return ""
