"""Whether the kernel takes the machine's clock for synchronised, as a time daemon told it (adjtimex(2), read only)."""

import ctypes
import errno

from msgspec import Struct

STA_UNSYNC = 0x0040
TIME_ERROR = 5
"""adjtimex's answer for a clock that nobody keeps (linux/timex.h)."""


class ClockState(Struct, frozen=True):
    """`synchronised` None and the reason where the kernel does not tell; the greatest error it admits in ms."""

    synchronised: bool | None
    max_error_ms: float | None = None
    unknown: str = ""


class _Timex(ctypes.Structure):
    """struct timex of linux/timex.h, whose tail nothing here reads."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def read_clock_state() -> ClockState:
    """As the kernel says now. Changes nothing, and needs no privilege."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return ClockState(None, unknown="no adjtimex here")
    told = _Timex()
    state = adjtimex(ctypes.byref(told))
    if state < 0:
        return ClockState(None, unknown=errno.errorcode.get(ctypes.get_errno(), "unknown"))
    return judge_clock(state, told.status, told.maxerror)


def judge_clock(state: int, status: int, max_error_us: int) -> ClockState:
    """What the kernel's three numbers mean."""
    return ClockState(state != TIME_ERROR and not status & STA_UNSYNC, max_error_us / 1000)
