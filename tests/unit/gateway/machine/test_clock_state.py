"""Invariant: a clock that the kernel does not take for kept is never told as synchronised."""

import ctypes

import pytest

from gateway.machine.clock_state import STA_UNSYNC, TIME_ERROR, ClockState, judge_clock, read_clock_state


def test_what_the_kernel_tells() -> None:
    assert judge_clock(0, 0, 1500) == ClockState(True, 1.5)
    assert judge_clock(0, STA_UNSYNC, 16_000_000).synchronised is False
    assert judge_clock(TIME_ERROR, 0, 0).synchronised is False


def test_this_machine() -> None:
    state = read_clock_state()
    assert (state.synchronised is None) == bool(state.unknown)
    assert (state.max_error_ms is None) == bool(state.unknown)


class NoLibrary:
    """A libc without the call."""

    def __init__(self, *_: object, **__: object) -> None:
        pass


class Refusing(NoLibrary):
    """A kernel that refuses it, as a strict container may."""

    def adjtimex(self, _told: object) -> int:
        ctypes.set_errno(1)
        return -1


@pytest.mark.parametrize(("library", "why"), [(NoLibrary, "no adjtimex here"), (Refusing, "EPERM")])
def test_a_kernel_that_does_not_tell(library: type, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert read_clock_state() == ClockState(None, unknown=why)
