"""Invariant: words name the stretch that an operator means, or a fault that says how to name one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulating.time_window import Window, WindowFault, read_window

NOW_S = datetime(2026, 11, 22, 20, tzinfo=UTC).timestamp()
DAY_S = 86_400


def test_times_ago() -> None:
    assert read_window("7d..now", NOW_S) == Window(NOW_S - 7 * DAY_S, NOW_S)
    assert read_window("2w..90m", NOW_S) == Window(NOW_S - 14 * DAY_S, NOW_S - 5400)
    assert read_window("10s..1s", NOW_S) == Window(NOW_S - 10, NOW_S - 1)


def test_a_date_as_its_end_counts_whole() -> None:
    window = read_window("2026-11-16..2026-11-22", NOW_S)
    assert window.to_s - window.from_s == 7 * DAY_S
    assert window.holds(window.from_s)
    assert not window.holds(window.to_s)


def test_moments_are_utc_unless_they_say_otherwise() -> None:
    window = read_window("2026-11-22T18:00..2026-11-22T20:00+01:00", NOW_S)
    assert (window.from_s, window.to_s) == (NOW_S - 7200, NOW_S - 3600)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("7d", "'7d' is no stretch of time: give FROM..TO, such as 7d..now"),
        ("now..7d", "'now..7d' ends before it begins: give the earlier moment first"),
        ("now..now", "'now..now' ends before"),
        ("last week..now", "'last week' is no moment: give a date"),
        ("7d..", "'' is no moment"),
        ("9999-12-31..9999-12-31", "'9999-12-31' is no moment"),
        ("2026-13-01..now", "'2026-13-01' is no moment"),
    ],
)
def test_what_is_refused(words: str, fault: str) -> None:
    with pytest.raises(WindowFault) as caught:
        read_window(words, NOW_S)
    assert str(caught.value).startswith(fault)


@given(st.text(max_size=40) | st.text(max_size=20).map(lambda words: f"{words}..now"))
def test_no_words_do_more_than_a_fault(words: str) -> None:
    try:
        window = read_window(words, NOW_S)
    except WindowFault as caught:
        fault = str(caught)
    else:
        fault = ""
        assert window.from_s < window.to_s
    assert fault.isprintable()
