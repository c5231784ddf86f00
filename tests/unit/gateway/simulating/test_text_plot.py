"""Invariant: a sign for each point, higher for more."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulating.text_plot import BLOCKS, block_row


def test_from_nothing_to_the_most() -> None:
    assert block_row([0.0, 0.5, None, 1.0, 9.0, -1.0], 1.0) == "▁▅·██▁"
    assert block_row([0.0, 3.0], 0.0) == "▁▁"


@given(st.lists(st.none() | st.floats(0, 1)))
def test_more_is_never_lower(points: list[float | None]) -> None:
    row = block_row(points, 1.0)
    assert len(row) == len(points)
    levels = sorted((point, BLOCKS.index(sign)) for point, sign in zip(points, row, strict=True) if point is not None)
    assert [level for _, level in levels] == sorted(level for _, level in levels)
