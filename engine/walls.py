"""The first wall: what a process gives up before it opens a model file. The second is `engine.second_wall`.

Parsing a stranger's file is the dangerous part, so the wall stands before the file is opened, and before
numpy or llama.cpp are imported: landlock below ABI 8 binds only the calling thread and those it starts
later, and those imports start threads. The order is fixed:

 (1) no_new_privs: nothing this process starts could gain rights
 (2) landlock: read the given files and the interpreter's own, write /dev/null, no TCP, no signals outside
 (3) limits: RLIMIT_DATA is the memory cap (RLIMIT_AS would count the mapped model), no core dumps
 (4) capabilities dropped, so that even root cannot raise the limits again
 (5) seccomp: see `engine.syscall_filter`; descriptors already open, a listening socket too, go on working

What this machine cannot do is named in `WallReport.missing`; whether to go on without it is the caller's
decision. What lies outside the interpreter's folders, `engine` and `policies` must be imported before.
"""

import ctypes
import resource
import site
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import policies.call  # its folder must be found before the project's root can no longer be listed
from engine import landlock
from engine.device_profile import CPU, DeviceProfile
from engine.syscall_filter import filter_library, load_filter

LIBRARY_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
CPU_FACTS = "/sys/devices/system"  # cores and NUMA nodes, read by libc, OpenMP and ggml
NULL_DEVICE = "/dev/null"  # importing llama_cpp opens it for writing
_READ = landlock.READ_FILE | landlock.READ_DIR
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True, kw_only=True)
class WallReport:
    """What was applied. `landlock_abi` is 0 when landlock did not bind; `missing` names each gap."""

    no_new_privs: bool
    landlock_abi: int
    memory_bytes: int
    core_dumps_off: bool
    capabilities_dropped: bool
    seccomp: bool
    missing: tuple[str, ...] = ()


def first_wall(*, read_files: Sequence[Path], memory_bytes: int, profile: DeviceProfile = CPU) -> WallReport:
    """Raise the wall around this process; it cannot be taken down again.

    `read_files` stay readable (files or folders), `memory_bytes` bounds private memory, `profile` names what the
    backend needs beside the processor. Raises OSError when one of `read_files` does not exist. Call from the only
    thread.
    """
    missing: list[str] = []
    grants = {**_grants(read_files), **_read_grants(profile), **device_grants(profile)}
    seccomp = _find_seccomp(missing)
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    if threads > 1:
        missing.append(f"landlock in {threads - 1} threads that were started before")
    no_new_privs = _no_new_privs(missing)
    abi = raise_landlock(grants, missing)
    limit_to(resource.RLIMIT_DATA, memory_bytes)
    limit_to(resource.RLIMIT_CORE, 0)
    return WallReport(
        no_new_privs=no_new_privs,
        landlock_abi=abi,
        memory_bytes=memory_bytes,
        core_dumps_off=True,
        capabilities_dropped=_drop_capabilities(missing),
        seccomp=_load_seccomp(seccomp, missing),
        missing=tuple(missing),
    )


def interpreter_paths() -> tuple[Path, ...]:
    """What Python and its packages are read from: standard library, installed packages, shared libraries, our code.

    Never the working directory or the project's root: a home with keys may lie there.
    """
    installed = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    paths = sysconfig.get_paths()
    standard = [paths["stdlib"], paths["platstdlib"], f"{sys.base_prefix}/lib", sysconfig.get_path("purelib")]
    own = [str(Path(__file__).parent), str(Path(policies.call.__file__).parent)]
    everything = [*standard, paths["platlib"], *site.getsitepackages(), *installed, *LIBRARY_FOLDERS, *own]
    return tuple(Path(path) for path in dict.fromkeys(everything) if Path(path).exists())


def _grants(read_files: Sequence[Path]) -> dict[Path, int]:
    grants = dict.fromkeys(interpreter_paths(), _READ)
    if Path(CPU_FACTS).exists():
        grants[Path(CPU_FACTS)] = _READ
    grants[Path(NULL_DEVICE)] = landlock.READ_FILE | landlock.WRITE_FILE
    return grants | {path.resolve(strict=True): _READ for path in read_files}


def _no_new_privs(missing: list[str]) -> bool:
    if ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        return True
    missing.append("no_new_privs")
    return False


def device_grants(profile: DeviceProfile) -> dict[Path, int]:
    """Landlock's rights on the device nodes of `profile` that this machine has."""
    rights = landlock.READ_FILE | landlock.WRITE_FILE | landlock.DEVICE_IOCTL
    return {node: rights for pattern in profile.device_nodes for node in _matching(pattern)}


def _read_grants(profile: DeviceProfile) -> dict[Path, int]:
    """What `profile` reads, and names in its nodes' folders, where the second wall has to find the nodes again."""
    folders = {Path(pattern).parent: landlock.READ_DIR for pattern in profile.device_nodes}
    paths = {path: _READ for pattern in profile.read_paths for path in _matching(pattern)}
    return {folder: right for folder, right in folders.items() if folder.exists()} | paths


def _matching(pattern: str) -> list[Path]:
    return sorted(Path("/").glob(pattern.removeprefix("/")))


def raise_landlock(grants: dict[Path, int], missing: list[str]) -> int:
    """Give up all but `grants`; the ABI, or 0 with the reason added to `missing`."""
    if landlock.kernel_abi() == 0:
        missing.append("landlock (this kernel has none, or it is off)")
        return 0
    try:
        return landlock.restrict(grants)
    except OSError as fault:
        missing.append(f"landlock ({fault.strerror})")
        return 0


def limit_to(which: int, value: int) -> None:
    """Set both limits to `value`, or to the hard limit where that is lower already."""
    hard = resource.getrlimit(which)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (bound, bound))


def _drop_capabilities(missing: list[str]) -> bool:
    """Clear all three capability sets (capset(2)); a process without any succeeds as well."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if ctypes.CDLL(None).capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())) == 0:
        return True
    missing.append("dropping capabilities")
    return False


def _find_seccomp(missing: list[str]) -> ModuleType | None:
    try:
        return filter_library()
    except (ImportError, RuntimeError, OSError) as fault:
        missing.append(f"seccomp ({fault})")
        return None


def _load_seccomp(seccomp: ModuleType | None, missing: list[str]) -> bool:
    if seccomp is None:
        return False
    try:
        unknown = load_filter(seccomp)
    except OSError as fault:
        missing.append(f"seccomp ({fault})")
        return False
    missing.extend(f"seccomp for {name}" for name in unknown)
    return True
