"""How much memory there is for this process and how much of it is free, from the kernel's own texts. Pure.

Free is what the kernel calls available (proc_meminfo(5): pages of files are given back when others want them), and in
a cgroup its limit less what is used of it, pages of files not counted for the same reason. The least of all holds.
"""

from collections.abc import Iterable

from msgspec import Struct

UNLIMITED_BYTES = 2**60  # version 1 writes "no limit" as nearly 2**63


class MemoryFacts(Struct, frozen=True, kw_only=True):
    """In bytes: what this process could have at most, and what is free of it now."""

    total_bytes: int
    available_bytes: int


class GroupMemory(Struct, frozen=True, kw_only=True):
    """A cgroup's limit, and what it uses apart from pages of files, in bytes."""

    limit_bytes: int
    used_bytes: int


class MemoryUnknown(OSError):
    """The kernel does not say how much memory there is; the message is one line."""


def read_meminfo(text: str) -> MemoryFacts:
    """What /proc/meminfo says. Raises MemoryUnknown."""
    pairs = (line.partition(":") for line in text.splitlines())
    kib = {name: value.split()[0] for name, _, value in pairs if value.split()}
    total, available = kib.get("MemTotal", ""), kib.get("MemAvailable", "")
    if not (total.isdigit() and available.isdigit()):
        raise MemoryUnknown("/proc/meminfo does not say how much memory there is: mount /proc, as every Linux does")
    return MemoryFacts(total_bytes=int(total) * 1024, available_bytes=int(available) * 1024)


def read_group(limit: str, used: str, statistics: str) -> GroupMemory | None:
    """One cgroup by the texts of its files (either version); None when it limits nothing."""
    limit, used = limit.strip(), used.strip()
    if not limit.isdigit() or int(limit) >= UNLIMITED_BYTES or not used.isdigit():
        return None
    figures = dict(line.split(" ", 1) for line in statistics.splitlines() if " " in line)
    prefix = "total_" if "total_inactive_file" in figures else ""  # version 1 counts its children in these only
    pages = sum(int(figures.get(f"{prefix}{name}_file", "0")) for name in ("inactive", "active"))
    return GroupMemory(limit_bytes=int(limit), used_bytes=max(0, int(used) - pages))


def within_groups(machine: MemoryFacts, groups: Iterable[GroupMemory]) -> MemoryFacts:
    """The machine's memory as far as every cgroup lets this process have it."""
    total, available = machine.total_bytes, machine.available_bytes
    for group in groups:
        total = min(total, group.limit_bytes)
        available = min(available, max(0, group.limit_bytes - group.used_bytes))
    return MemoryFacts(total_bytes=total, available_bytes=min(total, available))
