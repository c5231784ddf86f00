"""Why a process ended, in words for the log. Pure: what was observed goes in.

Rules, the first that fits:

- A process that was killed because it made no progress ended of that, whatever its status says.
- SIGKILL, and a kill for memory counted meanwhile by the kernel for this cgroup or this machine: memory. Where none was
  counted, somebody else sent it; where nothing can be read, memory is only likely.
- Any other signal, with what it most often means for an engine process; a guess, and worded as one.
- Exit statuses have the meaning that engine processes give them. Why a model cannot be loaded the process has said
  itself, in its last line.
"""

import signal
from typing import Literal

from msgspec import Struct

CANNOT_LOAD = 3
"""Exit status when the model cannot be served."""
OUT_OF_MEMORY = 4
"""Exit status when serving needed more memory than the cap allows."""
LEFT_FOR_ANOTHER = 6
"""Exit status of a worker that served and made room for another tenant: no death."""

LINE_SIGNS = 300
"""Of a last line: it stands in the audit log and in `corral status`, and a hostile file has a say in it."""

DeathKind = Literal["status", "signal", "memory", "no_progress", "not_started"]


class Death(Struct, frozen=True):
    """What kind of end it was, and the words for it."""

    kind: DeathKind
    cause: str


def exit_cause(returncode: int) -> str:
    """Why a process ended, from its status alone. `returncode` as `subprocess` gives it: negative is a signal.

    >>> exit_cause(-9)
    'killed by SIGKILL, perhaps out of memory'
    """
    return death_of(returncode).cause


def death_of(
    returncode: int,
    *,
    memory_kills: int | None = None,
    stuck_s: float | None = None,
    last_line: str = "",
    stayed: bool = False,
) -> Death:
    """See the head of the module. `memory_kills` the kernel counted while it ran, None where that cannot be read;
    `stuck_s`: it was killed after so long without progress, or with `stayed` because it said that it leaves and did
    not; `last_line`: what it printed last, printable signs only.
    """
    if stuck_s is not None:
        why = "it said that it leaves and stayed too long" if stayed else f"no progress for {stuck_s:.0f} s"
        return Death("no_progress", f"{why}, so it was killed")
    if returncode == -signal.SIGKILL:
        return _killed(memory_kills)
    if returncode < 0:
        return Death("signal", f"killed by {_signal_name(-returncode)}{_SIGNAL_HINTS.get(-returncode, '')}")
    if returncode == OUT_OF_MEMORY:
        return Death("memory", "it needed more memory than its cap allows (engine.memory_mib)")
    if returncode == 0:
        return Death("status", "ended by itself with status 0")
    return Death("status", f"ended with status {returncode}{_status_hint(returncode, last_line)}")


def not_started(why: str) -> Death:
    """There was no process at all."""
    return Death("not_started", why)


def _killed(memory_kills: int | None) -> Death:
    if memory_kills is None:
        return Death("signal", "killed by SIGKILL, perhaps out of memory")
    if memory_kills > 0:
        return Death("memory", "killed by SIGKILL: the kernel ended a process for want of memory meanwhile")
    return Death("signal", "killed by SIGKILL, and not by the kernel for want of memory")


_SIGNAL_HINTS: dict[int, str] = {
    signal.SIGABRT: ", perhaps an assertion about the model file or memory it could not have",
    signal.SIGSEGV: ", a fault in native code",
    signal.SIGBUS: ", perhaps a model file that was cut off while it was in use",
    signal.SIGPROF: ", its own time limit: a question that hung in native code",
    signal.SIGSYS: ", a system call outside its wall",
    signal.SIGXFSZ: ", a file larger than its wall allows",
}


def _status_hint(status: int, last_line: str) -> str:
    if status == LEFT_FOR_ANOTHER:
        return ": it served, and leaves for another tenant"
    if status != CANNOT_LOAD:
        return ""
    return f": {last_line[:LINE_SIGNS] or 'its model cannot be loaded; its own line in the log says why'}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
