import signal

from engine.restarts import (
    Restart,
    RestartHistory,
    RestartRules,
    after_exit,
    after_time_limit,
    doubling_s,
    ended_at_its_limit,
    pause_after_leaving_s,
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


def test_five_deaths_in_a_minute_end_in_quarantine() -> None:
    history, now_s, delays = RestartHistory(), 0.0, []
    for _ in range(5):
        delay_s, history = crash_at_once(history, now_s)
        delays.append(delay_s)
        now_s += delay_s
    assert delays == [0.5, 1.0, 2.0, 4.0, 300.0]
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


def test_an_end_at_its_own_limit_leaves_no_trace() -> None:
    history = RestartHistory(failures=3, died_s=(1.0,))
    assert after_time_limit(history, jitter=0.0) == Restart(0.5, history)
    assert ended_at_its_limit(-signal.SIGPROF)
    assert not ended_at_its_limit(-signal.SIGKILL)


def test_other_rules_are_kept_as_well() -> None:
    rules = RestartRules(first_delay_s=0.1, longest_delay_s=0.2, deaths=2, quarantine_s=7.0)
    first = after_exit(RestartHistory(), started_s=0.0, now_s=1.0, jitter=0.0, rules=rules)
    second = after_exit(first.history, started_s=1.0, now_s=2.0, jitter=0.0, rules=rules)
    assert (first.delay_s, second.delay_s) == (0.1, 7.0)
    assert after_time_limit(RestartHistory(), jitter=0.0, rules=rules).delay_s == 0.1


def test_who_leaves_by_itself_starts_again_at_once_but_not_ever_sooner() -> None:
    assert [pause_after_leaving_s(lived_s) for lived_s in (0.0, 1.5, 2.0, 60.0)] == [2.0, 0.5, 0.0, 0.0]
