"""What the list does is shown by test_second_wall, in a real kernel; here: that it is what it seems."""

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest

from engine.syscall_allowlist import PREPARING, SERVING, load_allow_list
from engine.syscall_filter import REFUSED, filter_library


class Rules:
    """Records what would be loaded."""

    def __init__(self, default: int) -> None:
        self.default = default
        self.allowed: dict[str, tuple[Any, ...]] = {}
        self.refused: dict[str, int] = {}
        self.attributes: list[tuple[int, int]] = []
        self.loaded = False

    def set_attr(self, name: int, value: int) -> None:
        self.attributes.append((name, value))

    def add_rule(self, action: Any, name: str, *conditions: Any) -> None:
        if action == "allow":
            self.allowed[name] = conditions
        else:
            self.refused[name] = action

    def load(self) -> None:
        self.loaded = True


def library(unknown: dict[str, int]) -> tuple[Any, list[Rules]]:
    made: list[Rules] = []

    def new_filter(default: int) -> Rules:
        made.append(Rules(default))
        return made[-1]

    found = SimpleNamespace(
        SyscallFilter=new_filter, ERRNO=lambda code: code, Arg=lambda *arguments: arguments, ALLOW="allow", EQ=4,
        MASKED_EQ=7, Attr=SimpleNamespace(CTL_TSYNC=1), Arch=SimpleNamespace(NATIVE=0),
        resolve_syscall=lambda _arch, name: unknown.get(name, 1),
    )  # fmt: skip
    return found, made


def test_all_but_the_list_is_refused_in_every_thread() -> None:
    seccomp, made = library({"poll": -10001, "rseq": -1})
    load_allow_list(seccomp, ("read", "poll", "rseq"))
    (rules,) = made
    assert (rules.default, rules.attributes, rules.loaded) == (errno.EPERM, [(1, 1)], True)
    assert rules.refused == {}
    assert set(rules.allowed) == {"read", "tgkill", "ioctl", "mmap", "mprotect"}
    assert rules.allowed["tgkill"] == ((0, 4, os.getpid()),)
    assert rules.allowed["ioctl"] == ((1, 7, 0xFFFFFFFF, 0x5421),)
    assert rules.allowed["mmap"] == rules.allowed["mprotect"] == ((2, 7, 4, 0),)


def test_with_device_nodes_the_driver_may_map_and_control() -> None:
    seccomp, made = library({})
    load_allow_list(seccomp, (), has_devices=True)
    assert made[0].allowed["ioctl"] == made[0].allowed["mmap"] == made[0].allowed["mprotect"] == ()
    assert made[0].allowed["tgkill"] != ()
    assert made[0].refused == {"clone3": errno.ENOSYS}


@pytest.mark.parametrize("calls", [SERVING, PREPARING])
def test_no_name_is_unknown_or_stands_on_both_lists(calls: tuple[str, ...]) -> None:
    seccomp = filter_library()
    assert all(seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) != -1 for name in calls)
    assert len(set(calls)) == len(calls)
    assert not set(calls) & set(REFUSED)


def test_nothing_on_the_list_opens_starts_or_reaches_anything() -> None:
    outwards = {
        "open", "openat", "openat2", "creat", "stat", "newfstatat", "statx", "access", "readlink", "getdents64",
        "socket", "socketpair", "connect", "bind", "listen", "sendmsg", "sendmmsg", "recvmsg", "clone", "clone3",
        "fork", "vfork", "execve", "execveat", "kill", "tkill", "ptrace", "prctl", "prlimit64", "setrlimit", "seccomp",
        "process_vm_readv", "memfd_create", "unlink", "rename", "mkdir", "truncate", "ftruncate", "dup", "pipe2",
    }  # fmt: skip
    assert not outwards & {*SERVING, *PREPARING}
