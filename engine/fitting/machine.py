"""What a machine is to the planner: cores, memory, GPUs; and what of it the workers may use. Pure.

Rules:

- The budget of a machine is its memory, or what is free of it where that is less, less `SERVICE_BYTES` for gateway,
  supervisor and preparer and less a sixteenth of all for the kernel, its page tables and its cache of files; a budget
  that the operator states replaces it.
- A GPU gives what is free on it. One that shares the machine's memory (Apple) draws on both limits.
- Threads: workers that may be busy together share the cores minus the gateway's one; each gets at least one.
  OpenMP barriers that spin beside another busy process cost more than a thread brings.
- No GPU path has run on hardware yet: every plan that uses one says so.
"""

from typing import Literal

from msgspec import Struct

MIB = 1024**2
GIB = 1024**3
SERVICE_BYTES = 256 * MIB
KERNEL_SHARE = 16

GpuKind = Literal["nvidia", "amd", "apple"]

BACKENDS: dict[GpuKind, str] = {"nvidia": "cuda", "amd": "rocm", "apple": "metal"}

# What a process takes on a GPU before the first tensor, in bytes. Ollama sets 457 MiB aside for CUDA; Metal keeps
# its own in the process.
RUNTIME_BYTES: dict[GpuKind, int] = {"nvidia": 512 * MIB, "amd": 512 * MIB, "apple": 64 * MIB}

PROVEN_KINDS: frozenset[GpuKind] = frozenset()  # kinds of GPU on which a plan has been run


class Gpu(Struct, frozen=True, kw_only=True):
    """One GPU with `free_bytes` before any worker starts. `flash_attention`: its backend has the kernels."""

    name: str
    kind: GpuKind
    free_bytes: int
    flash_attention: bool = True

    @property
    def shares_memory(self) -> bool:
        """Whether its memory is the machine's own."""
        return self.kind == "apple"


class Machine(Struct, frozen=True, kw_only=True):
    """What the workers run on: usable cores, memory in bytes (the container's where that is less), GPUs in order.

    `available_bytes` is what of the memory is free before a worker starts; None: all of it.
    """

    cores: int
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    available_bytes: int | None = None


def memory_budget_bytes(machine: Machine) -> int:
    """What all workers together may take of the machine's memory; never negative."""
    free_bytes = machine.memory_bytes if machine.available_bytes is None else machine.available_bytes
    kept_bytes = SERVICE_BYTES + machine.memory_bytes // KERNEL_SHARE
    return max(0, min(machine.memory_bytes, free_bytes) - kept_bytes)


def share_threads(cores: int, workers: int) -> tuple[int, ...]:
    """Threads of each of `workers` (at least one), the remainder going to the first."""
    share, left_over = divmod(max(0, cores - 1), workers)
    return tuple(max(1, share + (number < left_over)) for number in range(workers))
