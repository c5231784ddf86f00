"""What landlock forbids is shown by test_walls, in a real kernel; here: what is asked of each kernel."""

import ctypes
import os
from pathlib import Path
from typing import Any

import pytest

from engine import landlock


class Kernel:
    """Answers the three calls and keeps what came with them."""

    def __init__(self, abi: int) -> None:
        self.abi = abi
        self.attr: tuple[int, int, int, int] | None = None
        self.rights: list[int] = []
        self.flags = -1

    def syscall(self, number: int, *arguments: Any) -> int:
        if number == 444 and arguments[0] is None:
            return self.abi
        if number == 444:
            attr = arguments[0]._obj
            self.attr = (attr.fs, attr.net, attr.scoped, arguments[1].value)
            return os.open("/dev/null", os.O_RDONLY)
        if number == 445:
            self.rights.append(arguments[2]._obj.allowed)
        if number == 446:
            self.flags = arguments[1]
        return 0


@pytest.mark.parametrize(
    ("abi", "attr"),
    [
        (1, ((1 << 13) - 1, 0, 0, 8)),
        (3, ((1 << 15) - 1, 0, 0, 8)),
        (4, ((1 << 15) - 1, 3, 0, 16)),
        (6, ((1 << 16) - 1, 3, 3, 24)),
        (8, ((1 << 16) - 1, 3, 3, 24)),
        (9, ((1 << 17) - 1, 3, 3, 24)),
        (99, ((1 << 17) - 1, 3, 3, 24)),
    ],
)
def test_each_kernel_is_asked_for_all_it_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, abi: int, attr: tuple[int, int, int, int]
) -> None:
    kernel = Kernel(abi)
    monkeypatch.setattr(landlock, "_libc", kernel)
    (tmp_path / "file").write_bytes(b"")
    both = landlock.READ_FILE | landlock.READ_DIR
    assert landlock.restrict({tmp_path: both, tmp_path / "file": both}) == abi
    assert kernel.attr == attr
    assert kernel.rights == [both, landlock.READ_FILE]
    assert kernel.flags == (8 if abi >= landlock.ALL_THREADS_ABI else 0)  # LANDLOCK_RESTRICT_SELF_TSYNC


@pytest.mark.parametrize(("abi", "rights"), [(4, landlock.READ_FILE), (5, landlock.READ_FILE | landlock.DEVICE_IOCTL)])
def test_a_right_that_the_kernel_does_not_know_is_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, abi: int, rights: int
) -> None:
    kernel = Kernel(abi)
    monkeypatch.setattr(landlock, "_libc", kernel)
    landlock.restrict({Path("/dev/null"): landlock.READ_FILE | landlock.DEVICE_IOCTL})
    assert kernel.rights == [rights]


def test_a_refusal_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def syscall(self, *_arguments: object) -> int:
            ctypes.set_errno(1)
            return -1

    monkeypatch.setattr(landlock, "_libc", Refusing())
    assert landlock.kernel_abi() == 0
    with pytest.raises(OSError, match="landlock"):
        landlock.restrict({})
