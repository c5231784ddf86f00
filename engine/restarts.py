"""When a process that ended is started again. Pure: time and jitter are arguments.

Decides only the delay; starting and stopping is `gateway.supervision.supervisor`'s work. Rules (one for one: a
process is restarted for its own exit, never for another's):

- The delay starts at 0.5 s and doubles with every failure in a row, up to 30 s; jitter on top keeps
  processes that died together from starting together.
- A process that ran 60 s is healthy: its next failure counts as the first.
- More than 5 restarts in 60 s put it in quarantine: one attempt every 5 minutes (half open). An attempt
  that lives 60 s ends the quarantine, one that does not renews it.
- A process that ended itself at its time limit did as it should: it starts again after the first delay and
  nothing is remembered. Otherwise six slow questions in a minute would be a way to switch a model off.
"""

import signal
from dataclasses import dataclass

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
JITTER_SHARE = 0.5  # a jitter of 1 makes a delay half as long again
HEALTHY_AFTER_S = 60.0
WINDOW_S = 60.0
MOST_RESTARTS = 5  # in WINDOW_S; OTP's default intensity is one in 5 s, systemd's five in 10 s
QUARANTINE_S = 300.0


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """What is remembered of one process: failures in a row, and when it was restarted lately."""

    failures: int = 0
    restarted_s: tuple[float, ...] = ()
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the process again after `delay_s`, and remember `history`."""

    delay_s: float
    history: RestartHistory


def doubling_s(failures: int, *, first_s: float, longest_s: float, jitter: float) -> float:
    """The delay after `failures` earlier failures in a row; `jitter` is in [0, 1).

    >>> doubling_s(2, first_s=0.5, longest_s=30.0, jitter=0.0)
    2.0
    """
    # The exponent is bounded before the power is taken, so that years of failures cannot overflow a float.
    delay_s = min(longest_s, first_s * 2.0 ** min(failures, 32))
    return delay_s * (1.0 + JITTER_SHARE * jitter)


def after_exit(history: RestartHistory, *, started_s: float, now_s: float, jitter: float) -> Restart:
    """What to do about a process that started at `started_s` and ended at `now_s` without being asked to."""
    if now_s - started_s >= HEALTHY_AFTER_S:
        history = RestartHistory()
    lately = tuple(at_s for at_s in history.restarted_s if now_s - at_s < WINDOW_S)
    if history.quarantined or len(lately) >= MOST_RESTARTS:
        return Restart(QUARANTINE_S, RestartHistory(history.failures, lately, quarantined=True))
    delay_s = doubling_s(history.failures, first_s=FIRST_DELAY_S, longest_s=LONGEST_DELAY_S, jitter=jitter)
    return Restart(delay_s, RestartHistory(history.failures + 1, (*lately, now_s + delay_s)))


def after_time_limit(history: RestartHistory, *, jitter: float) -> Restart:
    """What to do about a process that `ended_at_its_limit`."""
    return Restart(doubling_s(0, first_s=FIRST_DELAY_S, longest_s=LONGEST_DELAY_S, jitter=jitter), history)


def ended_at_its_limit(returncode: int) -> bool:
    """Whether the process was ended by its own timer, which engine processes set on SIGPROF."""
    return returncode == -signal.SIGPROF


def exit_cause(returncode: int) -> str:
    """Why a process ended, in words for the log. `returncode` as `subprocess` gives it: negative is a signal.

    >>> exit_cause(-9)
    'killed by SIGKILL, perhaps out of memory'
    """
    if returncode == 0:
        return "ended by itself with status 0"
    if returncode > 0:
        return f"ended with status {returncode}"
    name = _signal_name(-returncode)
    hint = _SIGNAL_HINTS.get(-returncode, "")
    return f"killed by {name}{hint}"


# What a signal most often means for an engine process; a guess, and worded as one.
_SIGNAL_HINTS: dict[int, str] = {
    signal.SIGKILL: ", perhaps out of memory",
    signal.SIGABRT: ", perhaps an assertion about the model file",
    signal.SIGPROF: ", its own time limit: a question that hung in native code",
    signal.SIGSYS: ", a system call outside its wall",
    signal.SIGXFSZ: ", a file larger than its wall allows",
}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
