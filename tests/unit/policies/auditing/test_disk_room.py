"""Invariant: from 98 % on nothing is accepted, and a disk at a bound does not flutter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.disk_room import LEVELS, RESERVE_BYTES, Level, Room, event_of, level_of, reserve_bytes


def room(percent: float) -> Room:
    return Room(round(percent * 100), round((100 - percent) * 100))


@pytest.mark.parametrize(
    ("percent", "before", "level"),
    [
        (0, "roomy", "roomy"),
        (74.9, "roomy", "roomy"),
        (75, "roomy", "low"),
        (90, "roomy", "alarm"),
        (98, "roomy", "full"),
        (98, "full", "full"),
        (97.5, "full", "full"),
        (96.9, "full", "alarm"),
        (60, "full", "roomy"),
        (89.5, "alarm", "alarm"),
        (88.9, "alarm", "low"),
        (74.5, "low", "low"),
        (73.9, "low", "roomy"),
    ],
)
def test_the_level_follows_the_room(percent: float, before: Level, level: Level) -> None:
    assert level_of(room(percent), before) == level


@given(st.floats(0, 100), st.sampled_from(LEVELS), st.sampled_from(LEVELS))
def test_the_level_settles_at_once(percent: float, before: Level, other: Level) -> None:
    level = level_of(room(percent), before)
    assert level_of(room(percent), level) == level
    if LEVELS.index(before) >= LEVELS.index(other):
        assert LEVELS.index(level) >= LEVELS.index(level_of(room(percent), other)), "who was fuller is not less full"


def test_a_disk_without_a_size_counts_as_empty() -> None:
    assert level_of(Room(0, 0)) == "roomy"
    assert reserve_bytes(Room(0, 0)) == RESERVE_BYTES


def test_the_reserve_is_a_hundredth_of_a_small_disk() -> None:
    assert reserve_bytes(Room(500_000, 500_000)) == 10_000
    assert reserve_bytes(Room(2**40, 2**40)) == RESERVE_BYTES
    assert reserve_bytes(Room(2**40, 2**40), 5) == 5


@pytest.mark.parametrize(
    ("before", "level", "event"),
    [
        ("roomy", "roomy", ""),
        ("roomy", "low", "disk.low"),
        ("low", "alarm", "disk.low"),
        ("alarm", "full", "disk.full"),
        ("full", "alarm", "disk.back"),
        ("alarm", "roomy", "disk.back"),
    ],
)
def test_what_a_change_is_called(before: Level, level: Level, event: str) -> None:
    assert event_of(level, before) == event
