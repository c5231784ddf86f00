from hypothesis import given
from hypothesis import strategies as st

from gateway.scheduling.slot_share import own_part


@given(st.integers(0, 200), st.integers(1, 40))
def test_the_parts_are_all_slots_and_never_more_but_where_slots_are_fewer_than_gateways(
    slots: int, gateways: int
) -> None:
    parts = [own_part(slots, gateways, rank) for rank in range(gateways)]
    assert max(parts) - min(parts) <= 1
    assert sum(parts) == slots if slots >= gateways else set(parts) == {min(slots, 1)}


def test_nobody_known_is_one_alone() -> None:
    assert own_part(4, 0, 0) == 4
