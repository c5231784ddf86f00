import signal

import pytest

from engine.restarts import (
    Restart,
    RestartHistory,
    after_exit,
    after_time_limit,
    doubling_s,
    ended_at_its_limit,
    exit_cause,
)


def crash_at_once(history: RestartHistory, now_s: float, jitter: float = 0.0) -> tuple[float, RestartHistory]:
    restart = after_exit(history, started_s=now_s, now_s=now_s, jitter=jitter)
    return restart.delay_s, restart.history


def test_the_delay_doubles_up_to_its_bound() -> None:
    delays = [doubling_s(failures, first_s=0.5, longest_s=30.0, jitter=0.0) for failures in range(8)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert doubling_s(10_000, first_s=0.5, longest_s=30.0, jitter=0.0) == 30.0


def test_jitter_only_lengthens() -> None:
    assert doubling_s(0, first_s=1.0, longest_s=30.0, jitter=0.5) == 1.25


def test_a_crash_loop_ends_in_quarantine_after_five_restarts() -> None:
    history, now_s, delays = RestartHistory(), 0.0, []
    for _ in range(6):
        delay_s, history = crash_at_once(history, now_s)
        delays.append(delay_s)
        now_s += delay_s
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 300.0]
    assert history.quarantined


def test_a_failed_attempt_renews_the_quarantine_and_a_healthy_one_ends_it() -> None:
    quarantined = RestartHistory(failures=5, quarantined=True)
    assert crash_at_once(quarantined, 1000.0)[0] == 300.0
    restart = after_exit(quarantined, started_s=1000.0, now_s=1060.0, jitter=0.0)
    assert (restart.delay_s, restart.history.quarantined) == (0.5, False)


def test_a_minute_of_health_forgets_what_was() -> None:
    _, history = crash_at_once(RestartHistory(), 0.0)
    assert after_exit(history, started_s=0.5, now_s=60.4, jitter=0.0).delay_s == 1.0
    assert after_exit(history, started_s=0.5, now_s=60.5, jitter=0.0).delay_s == 0.5


def test_slow_crashes_are_spread_out_and_never_quarantined() -> None:
    history, now_s = RestartHistory(), 0.0
    for _ in range(20):
        restart = after_exit(history, started_s=now_s, now_s=now_s + 20.0, jitter=0.0)
        history, now_s = restart.history, now_s + 20.0 + restart.delay_s
    assert restart.delay_s == 30.0
    assert not history.quarantined


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (0, "ended by itself with status 0"),
        (3, "ended with status 3"),
        (-9, "killed by SIGKILL, perhaps out of memory"),
        (-31, "killed by SIGSYS, a system call outside its wall"),
        (-15, "killed by SIGTERM"),
        (-99, "killed by signal 99"),
    ],
)
def test_an_exit_is_put_into_words(returncode: int, words: str) -> None:
    assert exit_cause(returncode) == words


def test_an_end_at_its_own_limit_leaves_no_trace() -> None:
    history = RestartHistory(failures=3, restarted_s=(1.0,))
    assert after_time_limit(history, jitter=0.0) == Restart(0.5, history)
    assert ended_at_its_limit(-signal.SIGPROF)
    assert not ended_at_its_limit(-signal.SIGKILL)
