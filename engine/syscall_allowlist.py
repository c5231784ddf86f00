"""The system calls that a process makes while it serves; the kernel refuses all others (seccomp, second wall).

An allow list, since by now everything is loaded: what is served needs sockets that are open already, memory, waiting
and the time. A refused call answers EPERM. It stands on top of the deny list of `engine.syscall_filter`, and the
stricter of both holds. It binds every thread, those of OpenMP too (TSYNC). Three calls are allowed in part:

 - `ioctl`: only FIONBIO, by which Python makes a socket non-blocking; with device nodes, any
 - `mmap` and `mprotect`: never executable, so no new code comes into the process. ctypes has its trampolines by
   then; a GPU's driver compiles, so with device nodes they are free
 - `tgkill`: only to the own process, for abort()

Not there on purpose: opening or looking up any file, new sockets, `recvmsg` and `sendmsg` (they carry descriptors),
`clone` (threads are all there after the warm-up), `execve`, `prlimit64`, `prctl`, and everything else.
"""

import errno
import os
from collections.abc import Iterable
from types import ModuleType
from typing import Any

MEMORY = ("brk", "munmap", "mremap", "madvise")
"""malloc and the garbage collector; mapping itself is of the head."""
THREADS = ("futex", "rseq", "sched_yield", "sched_getaffinity", "getcpu", "gettid", "getpid")
"""OpenMP's barriers and the interpreter's lock."""
TIME = ("clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "restart_syscall")
SIGNALS = ("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack")
"""SIGTERM arrives by a handler; abort() and faults end the process as they should."""
SOCKETS = ("accept4", "getsockname", "recvfrom", "sendto", "read", "write", "writev", "close")
"""Python asks an accepted socket for its name; read and write are for the pipes of stderr and of the wake-up."""
WAITING = ("poll", "ppoll")
ENDING = ("exit", "exit_group")
RANDOM = ("getrandom",)
SERVING = MEMORY + THREADS + TIME + SIGNALS + SOCKETS + WAITING + ENDING + RANDOM
"""What a worker needs."""
PREPARING = (*SERVING, "epoll_wait", "epoll_pwait", "epoll_ctl", "setitimer")
"""A preparer waits by Python's own selector, and bounds each question by two timers (engine.preparing.time_limit)."""

_FIONBIO = 0x5421
_PROT_EXEC = 4
_ALL_32_BITS = 0xFFFFFFFF


def load_allow_list(seccomp: ModuleType, calls: Iterable[str], *, has_devices: bool = False) -> None:
    """Refuse all but `calls` and the three of the head in every thread of this process.

    A call that this architecture or libseccomp does not know stays refused. Raises OSError when the kernel or the
    library refuses.
    """
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    for name in calls:
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0:
            rules.add_rule(seccomp.ALLOW, name)
    rules.add_rule(seccomp.ALLOW, "tgkill", seccomp.Arg(0, seccomp.EQ, os.getpid()))
    if has_devices:  # drivers start threads: as in the first wall, libc has to fall back to `clone`
        rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for name, condition in _in_part(seccomp):
        rules.add_rule(seccomp.ALLOW, name, *(() if has_devices else (condition,)))
    rules.load()


def _in_part(seccomp: ModuleType) -> tuple[tuple[str, Any], ...]:
    not_executable = seccomp.Arg(2, seccomp.MASKED_EQ, _PROT_EXEC, 0)
    return (
        ("ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _ALL_32_BITS, _FIONBIO)),
        ("mmap", not_executable),
        ("mprotect", not_executable),
    )
