"""The machine a figure was measured on: processor, cores, commit, and how much of it others took."""

import os
import subprocess
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """What a reader must know to compare figures."""
    info = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown"
    )
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": model, "cores": os.cpu_count(), "commit": commit or "unknown"}


def cpu_times() -> dict[str, int]:
    """Jiffies since boot, all cores: total, and stolen by the hypervisor."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return {"total": sum(fields[:8]), "steal": fields[7]}


def steal_percent(before: dict[str, int], after: dict[str, int]) -> float:
    """The share of CPU time that others took between two `cpu_times`."""
    total = after["total"] - before["total"]
    return round(100 * (after["steal"] - before["steal"]) / total, 2) if total else 0.0
