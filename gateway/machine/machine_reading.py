"""Reads what this machine is: thin, every text goes to a parser beside it. `root` is where /proc and /sys hang.

llama.cpp is asked in a process of its own, with the environment of a worker, and before a plan only where there is a
GPU that it may be built for.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.fitting.machine import Machine
from gateway.machine.build_facts import Build, BuildUnknown, planned_gpus, read_report
from gateway.machine.cgroups import group_folders
from gateway.machine.cores import usable_cores
from gateway.machine.cpu_facts import CpuFacts, read_cpuinfo
from gateway.machine.gpu_facts import GpuFacts, amd_gpu, apple_gpu, nvidia_gpus
from gateway.machine.memory_facts import GroupMemory, MemoryFacts, read_group, read_meminfo, within_groups

ROOT = Path("/")
PROJECT = Path(__file__).resolve().parents[2]
REPORT_TIMEOUT_S = 60.0
QUERY_TIMEOUT_S = 10.0
MOST_OUTPUT_BYTES = 1024 * 1024
NVIDIA_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
APPLE_QUERY = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string", "hw.memsize")
GROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
)


class MachineFacts(Struct, frozen=True, kw_only=True):
    """What `corral doctor` tells of the machine. `build` is a text where llama.cpp cannot be asked."""

    cores: int
    memory: MemoryFacts
    cpu: CpuFacts
    gpus: tuple[GpuFacts, ...]
    build: Build | str


def read_machine() -> Machine:
    """The machine as the planner sees it. Raises MemoryUnknown."""
    memory = read_memory(ROOT)
    machine = Machine(cores=usable_cores(), memory_bytes=memory.total_bytes, available_bytes=memory.available_bytes)
    if not read_gpus(ROOT):
        return machine
    try:
        return msgspec.structs.replace(machine, gpus=planned_gpus(read_build()))
    except BuildUnknown:
        return machine  # the workers will say so, and `corral doctor` does


def read_facts() -> MachineFacts:
    """Everything. Raises MemoryUnknown."""
    try:
        build: Build | str = read_build()
    except BuildUnknown as fault:
        build = str(fault)
    cpu = read_cpuinfo(_read(ROOT / "proc/cpuinfo"))
    return MachineFacts(cores=usable_cores(), memory=read_memory(ROOT), cpu=cpu, gpus=read_gpus(ROOT), build=build)


def read_memory(root: Path) -> MemoryFacts:
    """Memory for this process. Raises MemoryUnknown."""
    groups = [_group(root / folder) for folder in group_folders(_read(root / "proc/self/cgroup"), "memory")]
    return within_groups(read_meminfo(_read(root / "proc/meminfo")), [group for group in groups if group is not None])


def read_gpus(root: Path) -> tuple[GpuFacts, ...]:
    """GPUs of all makers, by what their drivers show."""
    informations = [_read(file) for file in sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))]
    nvidia = nvidia_gpus(informations, _ask(NVIDIA_QUERY)) if informations else ()
    folders = sorted((root / "sys/class/drm").glob("card?*/device"))
    amd = (amd_gpu(*(_read(folder / name) for name in _AMD_FILES)) for folder in folders)
    apple = apple_gpu(_ask(APPLE_QUERY)) if sys.platform == "darwin" else None
    return (*nvidia, *(gpu for gpu in (*amd, apple) if gpu is not None))


_AMD_FILES = ("vendor", "product_name", "mem_info_vram_total", "mem_info_vram_used")


def read_build() -> Build:
    """What llama.cpp says of itself, from a process of its own. Raises BuildUnknown."""
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "GGML_NO_BACKTRACE": "1", "PYTHONPATH": str(PROJECT)}
    command = (sys.executable, "-P", "-m", "engine.build_report")
    try:
        ended = subprocess.run(  # noqa: S603  # our own interpreter and arguments, no shell
            command,
            env=environment,
            capture_output=True,
            check=False,
            timeout=REPORT_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise BuildUnknown(f"llama.cpp cannot be asked ({fault})") from None
    return read_report(ended.returncode, ended.stdout[:MOST_OUTPUT_BYTES], ended.stderr[:MOST_OUTPUT_BYTES])


def _group(folder: Path) -> GroupMemory | None:
    found = (read_group(*(_read(folder / name) for name in names)) for names in GROUP_FILES)
    return next((group for group in found if group is not None), None)


def _ask(command: tuple[str, ...]) -> str:
    """What a tool of the driver prints; "" when it is not there or does not answer."""
    try:
        ended = subprocess.run(  # noqa: S603  # one of two fixed commands, no shell
            command,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            capture_output=True,
            check=False,
            timeout=QUERY_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout[:MOST_OUTPUT_BYTES].decode("utf-8", "replace") if ended.returncode == 0 else ""


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
