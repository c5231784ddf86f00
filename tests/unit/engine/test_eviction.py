from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.eviction import Occupant, victims

NOW_S = 100.0


def occupant(name: str, needs: int, **changes: Any) -> Occupant:
    values: dict[str, Any] = {"loaded_s": 0.0, "used_s": 0.0, "load_s": 1.0, "busy": False}
    return Occupant(name=name, needs_bytes=needs, **{**values, **changes})


def going(*occupants: Occupant, lacking: int, waited_s: float = 0.0) -> tuple[str, ...]:
    return victims(occupants, lacking, waited_s=waited_s, patience_s=10.0, now_s=NOW_S)


def test_the_least_recently_used_idle_one_goes_first() -> None:
    assert going(occupant("new", 5, used_s=9.0), occupant("old", 5, used_s=3.0), lacking=4) == ("old",)


def test_of_equals_the_name_decides() -> None:
    assert going(occupant("b", 5), occupant("a", 5), lacking=4) == ("a",)


def test_one_that_was_just_loaded_stays_for_as_long_as_its_load_took() -> None:
    fresh = occupant("fresh", 5, loaded_s=95.0, load_s=6.0)
    assert going(fresh, lacking=4) == ()
    assert victims([fresh], 4, waited_s=0.0, patience_s=10.0, now_s=101.0) == ("fresh",)


@pytest.mark.parametrize(("waited_s", "loaded_s", "expected"), [(9.9, 0.0, ()), (10.0, 0.0, ("a",)), (10.0, 91.0, ())])
def test_a_busy_one_goes_after_the_patience_and_a_stay(waited_s: float, loaded_s: float, expected: object) -> None:
    assert going(occupant("a", 5, busy=True, loaded_s=loaded_s), lacking=5, waited_s=waited_s) == expected


def test_idle_ones_go_before_busy_ones_and_those_by_how_long_they_have_stayed() -> None:
    first, second = occupant("first", 5, busy=True, loaded_s=1.0), occupant("second", 5, busy=True, loaded_s=2.0)
    idle = occupant("idle", 5, used_s=99.0)
    assert going(second, first, idle, lacking=5, waited_s=10.0) == ("idle",)
    assert going(second, first, idle, lacking=6, waited_s=10.0) == ("idle", "first")


def test_nobody_goes_in_vain() -> None:
    assert going(occupant("a", 5), occupant("b", 5), lacking=11) == ()


def test_nobody_goes_who_need_not_beside_the_others() -> None:
    assert going(occupant("small", 2, used_s=1.0), occupant("large", 8, used_s=2.0), lacking=8) == ("large",)


@given(
    st.lists(
        st.builds(
            Occupant,
            name=st.text("abc", min_size=1, max_size=3),
            needs_bytes=st.integers(0, 9),
            loaded_s=st.floats(0, 100),
            used_s=st.floats(0, 100),
            load_s=st.floats(0, 9),
            busy=st.booleans(),
        ),
        max_size=6,
        unique_by=lambda each: each.name,
    ),
    st.integers(1, 30),
    st.floats(0, 20),
)
def test_whoever_goes_is_enough_and_each_of_them_is_needed(
    found: list[Occupant], lacking: int, waited_s: float
) -> None:
    names = going(*found, lacking=lacking, waited_s=waited_s)
    needs = {each.name: each.needs_bytes for each in found}
    freed = sum(needs[name] for name in names)
    assert not names or freed >= lacking
    assert all(freed - needs[name] < lacking for name in names)
    assert waited_s >= 10.0 or not any(each.busy for each in found if each.name in names)
