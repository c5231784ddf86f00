"""What the kernel shows of a process: whether it works, whether it was stopped, and whom it killed for memory."""

from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


class Signs(Struct, frozen=True):
    """`work`: processor time and pages read from disk, any unit, growing; `is_stopped` by a signal or a debugger."""

    work: int
    is_stopped: bool


def signs_of(pid: int, proc: Path = PROC) -> Signs | None:
    """See proc_pid_stat(5); None where that cannot be read."""
    try:
        text = (proc / str(pid) / "stat").read_text("ascii", "replace")
        # The second field, the name in parentheses, may hold anything; the third follows the last parenthesis.
        fields = text[text.rindex(")") + 1 :].split()
        return Signs(sum(int(fields[index - 3]) for index in (12, 14, 15)), fields[0] in ("T", "t"))
    except (OSError, ValueError, IndexError):
        return None


def memory_kills(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """How many processes the kernel has killed for want of memory: of our cgroup, or where that is not told of the
    whole machine; None where neither is.
    """
    for file in (*_own_events(proc, cgroups), proc / "vmstat"):
        try:
            for line in file.read_text("ascii").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
        except (OSError, ValueError):
            continue
    return None


def _own_events(proc: Path, cgroups: Path) -> list[Path]:
    try:
        lines = (proc / "self" / "cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [cgroups / line[4:] / "memory.events" for line in lines if line.startswith("0::/")]
