"""Which GPUs the machine has, from the texts of drivers and kernel; pure. No path here has run on a GPU.

- NVIDIA: `information` of each folder in /proc/driver/nvidia/gpus; memory from `nvidia-smi` in CSV, in MiB
- AMD: folders of /sys/class/drm whose vendor is 0x1002; memory in `mem_info_vram_total` and `_used`, in bytes
- Apple: `sysctl -n machdep.cpu.brand_string hw.memsize`; the memory is the machine's own
"""

from collections.abc import Sequence

from msgspec import Struct

from engine.fitting.machine import MIB, GpuKind

AMD_VENDOR = "0x1002"


class GpuFacts(Struct, frozen=True, kw_only=True):
    """A GPU that the machine has, whether or not llama.cpp was built for it. Bytes 0: its driver does not say."""

    name: str
    kind: GpuKind
    total_bytes: int = 0
    free_bytes: int = 0


def nvidia_gpus(informations: Sequence[str], query: str) -> tuple[GpuFacts, ...]:
    """One for each `information`. `query` is the CSV of `nvidia-smi --query-gpu=name,memory.total,memory.free`, in the
    same order, or "".
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in query.splitlines()]
    told = [row for row in rows if len(row) == 3 and row[1].isdigit() and row[2].isdigit()]
    if len(told) != len(informations):
        return tuple(GpuFacts(name=_model(text), kind="nvidia") for text in informations)
    return tuple(
        GpuFacts(name=name, kind="nvidia", total_bytes=int(total) * MIB, free_bytes=int(free) * MIB)
        for name, total, free in told
    )


def amd_gpu(vendor: str, name: str, total: str, used: str) -> GpuFacts | None:
    """One folder of /sys/class/drm by the texts of its files ("" where one is missing); None: not AMD's."""
    if vendor.strip() != AMD_VENDOR:
        return None
    name, total, used = name.strip() or "AMD GPU", total.strip(), used.strip()
    if not (total.isdigit() and used.isdigit()):
        return GpuFacts(name=name, kind="amd")
    return GpuFacts(name=name, kind="amd", total_bytes=int(total), free_bytes=max(0, int(total) - int(used)))


def apple_gpu(text: str) -> GpuFacts | None:
    """What `sysctl` says of an Apple machine: its chip and its bytes of memory, one a line. None: another chip."""
    name, _, size = text.strip().partition("\n")
    if not name.startswith("Apple") or not size.strip().isdigit():
        return None
    return GpuFacts(name=name, kind="apple", total_bytes=int(size), free_bytes=int(size))


def _model(information: str) -> str:
    for line in information.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Model":
            return value.strip()
    return "NVIDIA GPU"
