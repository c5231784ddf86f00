"""What a worker needs beyond the processor, by the backend that llama.cpp was built for. Pure: names in, a list out.

A processor needs nothing: that is the default, and the only profile that runs on the machines this is tested on.
THE OTHERS HAVE NOT BEEN RUN. They are written from what the makers document for containers, where the same things
are handed in by name:

 - cuda: NVIDIA's container toolkit hands in /dev/nvidiactl, /dev/nvidia-uvm, /dev/nvidia-uvm-tools, /dev/nvidiaN and
   /proc/driver/nvidia; the driver names its threads by /proc/self/task/TID/comm, as Chromium's sandbox has it too
 - rocm: "Running ROCm Docker containers": /dev/kfd and /dev/dri/renderDN; the runtime reads the topology in /sys
 - vulkan: /dev/dri/renderDN of any maker, NVIDIA's nodes, and the loader's list of drivers
 - sycl (Intel): /dev/dri/renderDN, Level Zero's libraries

With one of them the walls are wider: the nodes stay open to ioctl behind the second wall, threads may be started,
memory may be made executable. A driver is a large interface of the kernel, so a GPU worker is less walled in than
one on the processor, and says so in its log.
"""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """What `backend` needs: `device_nodes` for read, write and ioctl, `read_paths` for reading, `syscalls` while it
    serves. Paths may hold `*`, and need not exist.
    """

    backend: str
    device_nodes: tuple[str, ...] = ()
    read_paths: tuple[str, ...] = ()
    syscalls: tuple[str, ...] = ()

    @property
    def is_cpu(self) -> bool:
        """Whether it asks for nothing."""
        return not self.device_nodes


_NVIDIA_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia[0-9]*")
_RENDER_NODES = ("/dev/dri/renderD[0-9]*",)
# Thread names, memory maps and the machine's description, which every driver reads.
_PROCESS_FACTS = ("/proc/self/task", "/proc/self/maps", "/proc/self/status", "/proc/cpuinfo", "/proc/meminfo")
_PCI = ("/sys/bus/pci", "/sys/devices", "/sys/class/drm", "/sys/dev/char")
# Files that are opened late: nodes by name, and descriptors that a driver hands itself.
_OPENING = ("openat", "newfstatat", "fstat", "statx", "readlink", "readlinkat", "getdents64", "lseek", "pread64")
# Threads that a driver starts when it pleases, and what libc does for each.
_STARTING_THREADS = ("clone", "set_robust_list", "prctl", "sched_setaffinity", "sched_getparam", "sched_getscheduler")
_EVENTS = ("eventfd2", "pipe2", "epoll_create1", "epoll_ctl", "epoll_wait", "dup", "sched_get_priority_max")
_DRIVER_CALLS = (
    _OPENING + _STARTING_THREADS + _EVENTS + ("mlock", "munlock", "mbind", "get_mempolicy", "uname", "sysinfo")
)

CPU = DeviceProfile(backend="cpu")
PROFILES = (
    DeviceProfile(
        backend="cuda",
        device_nodes=_NVIDIA_NODES,
        read_paths=(
            *_PROCESS_FACTS, *_PCI, "/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/sys/module/nvidia*",
            "/usr/local/cuda*", "/etc/nvidia",
        ),
        syscalls=_DRIVER_CALLS,
    ),
    DeviceProfile(
        backend="rocm",
        device_nodes=("/dev/kfd", *_RENDER_NODES),
        read_paths=(*_PROCESS_FACTS, *_PCI, "/sys/class/kfd", "/sys/module/amdgpu", "/opt/rocm*", "/usr/share/libdrm"),
        syscalls=_DRIVER_CALLS,
    ),
    DeviceProfile(
        backend="sycl",
        device_nodes=_RENDER_NODES,
        read_paths=(*_PROCESS_FACTS, *_PCI, "/opt/intel", "/etc/OpenCL"),
        syscalls=_DRIVER_CALLS,
    ),
    DeviceProfile(
        backend="vulkan",
        device_nodes=(*_RENDER_NODES, *_NVIDIA_NODES),
        read_paths=(
            *_PROCESS_FACTS, *_PCI, "/etc/vulkan", "/usr/share/vulkan", "/usr/share/glvnd", "/usr/share/libdrm",
            "/usr/share/drirc.d", "/proc/driver/nvidia",
        ),
        syscalls=_DRIVER_CALLS,
    ),
)  # fmt: skip
_LIBRARIES = {
    "cuda": "libggml-cuda.so",
    "rocm": "libggml-hip.so",
    "sycl": "libggml-sycl.so",
    "vulkan": "libggml-vulkan.so",
}


def profile_for(libraries: Collection[str], gpu_layers: int) -> DeviceProfile:
    """The profile of a worker that puts `gpu_layers` layers on a GPU, with llama.cpp's `libraries` (file names).

    Without layers on a GPU it is the processor's, whatever llama.cpp could do.
    """
    if gpu_layers > 0:
        for profile in PROFILES:
            if _LIBRARIES[profile.backend] in libraries:
                return profile
    return CPU
