"""A head's clock runs from its first byte to its end, and its size is counted in all."""

import asyncio

import pytest

from gateway.http.head_bounds import MAX_HEAD_BYTES, HeadBounds, HeadTooLong


class Timer:
    def __init__(self, delay_s: float, act) -> None:
        self.delay_s = delay_s
        self.act = act
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """`call_later` of a loop, driven by hand."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, delay_s: float, act) -> Timer:
        self.timers.append(Timer(delay_s, act))
        return self.timers[-1]


def bounds(overdue=lambda: True) -> tuple[HeadBounds, Clock]:
    clock = Clock()
    loop: asyncio.AbstractEventLoop = clock  # type: ignore[assignment]
    return HeadBounds(loop, 10.0, overdue), clock


def test_the_clock_starts_once_and_stops_at_the_end() -> None:
    head, clock = bounds()
    head.take(1)
    assert clock.timers == []
    head.wait()
    head.take(1)
    head.wait()
    assert [timer.delay_s for timer in clock.timers] == [10.0]
    head.ended()
    assert clock.timers[0].cancelled
    head.ended()
    head.wait()
    assert len(clock.timers) == 2


def test_a_head_is_bounded_in_all_and_each_by_itself() -> None:
    head, clock = bounds()
    head.take(MAX_HEAD_BYTES)
    head.ended()
    head.take(MAX_HEAD_BYTES)
    head.wait()
    with pytest.raises(HeadTooLong):
        head.take(1)
    assert clock.timers[-1].cancelled


@pytest.mark.parametrize(("closed", "timers"), [(True, 1), (False, 2)])
def test_an_overdue_head_is_asked_about_again_only_when_nothing_was_closed(closed: bool, timers: int) -> None:
    head, clock = bounds(lambda: closed)
    head.wait()
    clock.timers[0].act()
    assert len(clock.timers) == timers
