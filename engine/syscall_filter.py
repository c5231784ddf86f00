"""The system calls that a process with a model in it never needs, refused by the kernel (seccomp, first wall).

A deny list (the second wall's is an allow list), since loading a model and importing its libraries need many calls;
what is named here is what turns a hijacked parser into an intruder: reaching the network, starting programs, touching
other processes, changing files' owners, or the kernel's larger and younger interfaces. Refused calls answer EPERM;
`clone3` answers ENOSYS, so that libc falls back to `clone`, whose flags a filter can read.
"""

import errno
import os
from types import ModuleType
from typing import Any

NETWORK = ("socket", "connect", "bind", "listen")
PROGRAMS = ("execve", "execveat", "fork", "vfork", "unshare", "setns", "uselib")
OTHER_PROCESSES = (
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "process_mrelease",
    "kcmp",
    "tkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "migrate_pages",
    "move_pages",
)
# Landlock has no right for these, or has one only from ABI 3 (truncate): they change a file without opening it.
FILE_METADATA = (
    "truncate",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "name_to_handle_at",
    "open_by_handle_at",
)
KERNEL = (
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "bpf",
    "perf_event_open",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "userfaultfd",
    "fanotify_init",
    "keyctl",
    "add_key",
    "request_key",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "syslog",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "modify_ldt",
    "personality",
    "lookup_dcookie",
    "vhangup",
)
# Memory that RLIMIT_DATA does not count.
UNCOUNTED_MEMORY = ("memfd_create", "memfd_secret", "shmget", "shmat", "semget", "msgget", "mq_open")
REFUSED = NETWORK + PROGRAMS + OTHER_PROCESSES + FILE_METADATA + KERNEL + UNCOUNTED_MEMORY

# Refusals that an older libseccomp may not know by name; younger than the kernels it was made for.
MAY_BE_UNKNOWN = frozenset(
    {"fchmodat2", "memfd_secret", "quotactl_fd", "process_mrelease", "process_madvise", "mount_setattr"}
)

_CLONE_THREAD = 0x10000
_MAP_SHARED, _MAP_ANONYMOUS = 0x01, 0x20
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # typing into the operator's terminal


def filter_library() -> ModuleType:
    """The binding of libseccomp. Get it before the wall: finding the library starts programs.

    Raises ImportError or RuntimeError when the binding or the library is missing.
    """
    import pyseccomp  # noqa: PLC0415 - may be missing, and searches when it is imported

    return pyseccomp  # type: ignore[no-any-return]


def load_filter(seccomp: ModuleType) -> tuple[str, ...]:
    """Refuse the calls above in every thread of this process; returns the names that could not be refused.

    Raises OSError when the kernel or the library refuses.
    """
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    refuse = seccomp.ERRNO(errno.EPERM)
    own_pid = os.getpid()
    shared = _MAP_SHARED | _MAP_ANONYMOUS

    unknown = [name for name in REFUSED if not _refuse(seccomp, rules, name)]
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, 0))
    for name in ("kill", "tgkill"):  # abort() signals its own process
        rules.add_rule(refuse, name, seccomp.Arg(0, seccomp.NE, own_pid))
    rules.add_rule(refuse, "prlimit64", seccomp.Arg(0, seccomp.NE, 0))
    rules.add_rule(refuse, "mmap", seccomp.Arg(3, seccomp.MASKED_EQ, shared, shared))
    for request in (_TIOCSTI, _TIOCLINUX):
        rules.add_rule(refuse, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    rules.load()
    return tuple(name for name in unknown if name not in MAY_BE_UNKNOWN)


def _refuse(seccomp: ModuleType, rules: Any, name: str) -> bool:
    """Add one refusal; False when this libseccomp does not know the call. Absent ones need none."""
    number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
    if number == -1:
        return False
    if number >= 0:  # below -1: a call that this architecture does not have
        rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
    return True
