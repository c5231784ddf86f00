"""When a process that ended is started again. Pure: time and jitter are arguments.

Decides only the delay; in which state a process is decides `engine.process_states`, starting and stopping is
`gateway.supervision`'s work, and why a process ended says `engine.death`. Rules (one for one: a process is restarted
for its own exit, never for another's):

- The delay starts at 0.5 s and doubles with every failure in a row, up to 30 s; jitter on top keeps
  processes that died together from starting together.
- A process that ran 60 s is healthy: its next failure counts as the first.
- Five deaths in 60 s put it in quarantine: one attempt every 5 minutes (half open). An attempt that lives
  60 s ends the quarantine, one that does not renews it.
- A process that ended itself at its time limit did as it should: it starts again after the first delay and
  nothing is remembered. Otherwise six slow questions in a minute would be a way to switch a model off.
- A process that served and left (for another tenant) starts again at once, but not sooner than 2 s after
  it last started: one that only says so cannot make its keeper do nothing else.
"""

import signal
from dataclasses import dataclass

JITTER_SHARE = 0.5  # a jitter of 1 makes a delay half as long again


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRules:
    """The numbers of the rules above; OTP's default intensity is one restart in 5 s, systemd's five in 10 s."""

    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    healthy_after_s: float = 60.0
    window_s: float = 60.0
    deaths: int = 5
    quarantine_s: float = 300.0
    shortest_stay_s: float = 2.0


RULES = RestartRules()


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """What is remembered of one process: failures in a row, and when it died lately."""

    failures: int = 0
    died_s: tuple[float, ...] = ()
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


def after_exit(
    history: RestartHistory, *, started_s: float, now_s: float, jitter: float, rules: RestartRules = RULES
) -> Restart:
    """What to do about a process that started at `started_s` and ended at `now_s` without being asked to."""
    if now_s - started_s >= rules.healthy_after_s:
        history = RestartHistory()
    died_s = (*(at_s for at_s in history.died_s if now_s - at_s < rules.window_s), now_s)
    if history.quarantined or len(died_s) >= rules.deaths:
        return Restart(rules.quarantine_s, RestartHistory(history.failures, died_s, quarantined=True))
    first_s, longest_s = rules.first_delay_s, rules.longest_delay_s
    delay_s = doubling_s(history.failures, first_s=first_s, longest_s=longest_s, jitter=jitter)
    return Restart(delay_s, RestartHistory(history.failures + 1, died_s))


def after_time_limit(history: RestartHistory, *, jitter: float, rules: RestartRules = RULES) -> Restart:
    """What to do about a process that `ended_at_its_limit`."""
    delay_s = doubling_s(0, first_s=rules.first_delay_s, longest_s=rules.longest_delay_s, jitter=jitter)
    return Restart(delay_s, history)


def pause_after_leaving_s(lived_s: float, rules: RestartRules = RULES) -> float:
    """How long to wait after a process that served left by itself, `lived_s` after its start.

    >>> pause_after_leaving_s(0.5)
    1.5
    """
    return max(0.0, rules.shortest_stay_s - lived_s)


def ended_at_its_limit(returncode: int) -> bool:
    """Whether the process was ended by its own timer, which engine processes set on SIGPROF."""
    return returncode == -signal.SIGPROF
