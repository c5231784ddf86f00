import pytest

from engine.death import (
    CANNOT_LOAD,
    LEFT_FOR_ANOTHER,
    LINE_SIGNS,
    OUT_OF_MEMORY,
    Death,
    death_of,
    exit_cause,
    not_started,
)


@pytest.mark.parametrize(
    ("returncode", "kind", "words"),
    [
        (0, "status", "ended by itself with status 0"),
        (1, "status", "ended with status 1"),
        (LEFT_FOR_ANOTHER, "status", "ended with status 6: it served, and leaves for another tenant"),
        (CANNOT_LOAD, "status", "ended with status 3: its model cannot be loaded; its own line in the log says why"),
        (OUT_OF_MEMORY, "memory", "it needed more memory than its cap allows (engine.memory_mib)"),
        (-9, "signal", "killed by SIGKILL, perhaps out of memory"),
        (-11, "signal", "killed by SIGSEGV, a fault in native code"),
        (-31, "signal", "killed by SIGSYS, a system call outside its wall"),
        (-15, "signal", "killed by SIGTERM"),
        (-99, "signal", "killed by signal 99"),
    ],
)
def test_an_exit_is_put_into_words(returncode: int, kind: str, words: str) -> None:
    assert death_of(returncode) == Death(kind, words)  # type: ignore[arg-type]
    assert exit_cause(returncode) == words


def test_what_the_kernel_counted_tells_a_kill_for_memory_from_others() -> None:
    assert death_of(-9, memory_kills=1).kind == "memory"
    other = death_of(-9, memory_kills=0)
    assert (other.kind, other.cause) == ("signal", "killed by SIGKILL, and not by the kernel for want of memory")
    assert death_of(-11, memory_kills=1).kind == "signal"


def test_one_that_was_killed_for_standing_still_ended_of_that() -> None:
    assert death_of(-9, memory_kills=1, stuck_s=30.4) == Death("no_progress", "no progress for 30 s, so it was killed")


def test_one_that_never_was_a_process_has_a_cause_too() -> None:
    assert not_started("cannot be started: why") == Death("not_started", "cannot be started: why")


def test_why_a_model_cannot_be_loaded_is_what_the_process_said_of_it_bounded() -> None:
    said = death_of(CANNOT_LOAD, last_line="worker: cannot load a:1: damaged")
    assert said == Death("status", "ended with status 3: worker: cannot load a:1: damaged")
    assert len(death_of(CANNOT_LOAD, last_line="x" * 1000).cause) < LINE_SIGNS + 40
    assert death_of(1, last_line="anything").cause == "ended with status 1"


def test_one_that_was_killed_because_it_stayed_is_told_so() -> None:
    death = death_of(-9, stuck_s=2.0, stayed=True)
    assert death == Death("no_progress", "it said that it leaves and stayed too long, so it was killed")
