"""What a process holds of the system: descriptors and resident memory; and what it has had of the processor."""

import os
import time
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """Open descriptors of the process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_bytes(pid: int) -> int:
    """Private and shared memory of the process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def processor_ms(pid: int) -> float:
    """Processor time of all threads of the process up to now, read off its own clock (clock_getcpuclockid)."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e6  # 2: CPUCLOCK_SCHED, what the scheduler counted


def waited_ms(pid: int) -> float:
    """How long its first thread could have run, and another had the processor (schedstat's run delay)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e6


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def summary(values: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    return {"p50": round(percentile(values, 0.5), 2), "p99": round(percentile(values, 0.99), 2)}
