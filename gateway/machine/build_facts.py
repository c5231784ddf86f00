"""What `engine.build_report` said, or why it could not; and which GPUs the planner may use. Pure.

A GPU is planned for only when llama.cpp itself finds it: having the hardware is not having a build for it. Its free
memory is then the backend's own figure. A Vulkan device is taken for the maker that its name tells.
"""

import signal

import msgspec
from msgspec import Struct

from engine.fitting.machine import Gpu, GpuKind

BACKEND_KINDS: dict[str, GpuKind] = {"CUDA": "nvidia", "ROCm": "amd", "HIP": "amd", "Metal": "apple", "MTL": "apple"}
MAKERS: dict[str, GpuKind] = {"NVIDIA": "nvidia", "AMD": "amd", "Radeon": "amd", "Apple": "apple"}
GPU_BACKENDS = frozenset({*BACKEND_KINDS, "Vulkan"})


class Device(Struct, frozen=True, kw_only=True):
    """One device that llama.cpp finds; `type` in its own words: cpu, gpu, integrated gpu, accelerator, other."""

    name: str
    description: str
    backend: str
    type: str
    free_bytes: int
    total_bytes: int


class Build(Struct, frozen=True, kw_only=True):
    """llama.cpp's line about its CPU code, and its devices."""

    system_info: str
    devices: tuple[Device, ...]

    @property
    def backends(self) -> tuple[str, ...]:
        """What it was built for, as its devices show."""
        return tuple(dict.fromkeys(device.backend for device in self.devices))


class BuildUnknown(Exception):
    """llama.cpp could not be asked; the message is one line."""


def read_report(status: int, output: bytes, complaint: bytes) -> Build:
    """The child's report, from its exit status (negative: the signal that ended it) and what it wrote.

    Raises BuildUnknown.
    """
    if status == -signal.SIGILL:
        raise BuildUnknown("llama.cpp was built for another CPU (SIGILL, an illegal instruction)")
    if status != 0:
        words = complaint.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"status {status}"]
        raise BuildUnknown(f"llama.cpp does not run ({words[0]})")
    try:
        return msgspec.json.decode(output, type=Build)
    except msgspec.MsgspecError as fault:
        raise BuildUnknown(f"llama.cpp's report cannot be read ({fault})") from None


def planned_gpus(build: Build) -> tuple[Gpu, ...]:
    """The GPUs of `build` whose maker is known, in llama.cpp's order."""
    return tuple(
        Gpu(name=f"{device.name} {device.description}", kind=kind, free_bytes=device.free_bytes)
        for device in build.devices
        if device.type == "gpu" and (kind := _kind(device)) is not None
    )


def _kind(device: Device) -> GpuKind | None:
    if device.backend in BACKEND_KINDS:
        return BACKEND_KINDS[device.backend]
    return next((kind for word, kind in MAKERS.items() if word in device.description), None)
