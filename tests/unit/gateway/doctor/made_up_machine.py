"""A machine on which everything is well."""

from typing import Any

from engine.wall_probe import WallTrial
from gateway.machine.build_facts import Build, Device
from gateway.machine.cpu_facts import CpuFacts
from gateway.machine.machine_reading import MachineFacts
from gateway.machine.memory_facts import MemoryFacts

GB = 10**9


def build(system_info: str = "CPU : AVX2 = 1 | FMA = 1 | F16C = 1 | ", *backends: str) -> Build:
    """A build with a device for each backend, the CPU's first."""
    devices = [
        Device(name=name, description=name, backend=name, type="cpu", free_bytes=0, total_bytes=0)
        for name in ("CPU", *backends)
    ]
    return Build(system_info=system_info, devices=tuple(devices))


def machine_facts(**changes: Any) -> MachineFacts:
    values: dict[str, Any] = {
        "cores": 4,
        "memory": MemoryFacts(total_bytes=16 * GB, available_bytes=8 * GB),
        "cpu": CpuFacts(name="Some CPU", flags=frozenset({"avx2", "fma", "f16c"})),
        "gpus": (),
        "build": build(),
    }
    return MachineFacts(**{**values, **changes})


def wall_trial() -> WallTrial:
    """Every wall stands."""
    return WallTrial(
        landlock_abi=7,
        no_new_privs=True,
        capabilities_dropped=True,
        seccomp=True,
        second_seccomp=True,
        binds_all_threads=True,
        missing=(),
        first={"make a socket": "EPERM"},
        second={"start a thread": "EPERM"},
    )
