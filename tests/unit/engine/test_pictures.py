"""Runs of ids that stand for pictures."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pictures import Picture, is_whole, picture_ids

RED = Picture(width=2, height=1, rgb=b"\xff\0\0" * 2)


def test_a_run_is_negative_ids_and_repeats_itself() -> None:
    ids = picture_ids(RED, 64)
    assert len(ids) == 64
    assert len(set(ids)) == 64
    assert all(-(2**31) <= one < 0 for one in ids)
    assert picture_ids(Picture(width=2, height=1, rgb=b"\xff\0\0" * 2), 64) == ids


def test_the_same_bytes_in_another_shape_are_another_picture() -> None:
    turned = Picture(width=1, height=2, rgb=RED.rgb)
    assert picture_ids(turned, 8)[0] != picture_ids(RED, 8)[0]


@settings(max_examples=50)
@given(st.binary(min_size=3, max_size=12), st.binary(min_size=3, max_size=12))
def test_other_pixels_give_other_ids(left: bytes, right: bytes) -> None:
    runs = [picture_ids(Picture(width=1, height=1, rgb=rgb), 4) for rgb in (left, right)]
    assert (runs[0] == runs[1]) == (left == right)


def test_a_picture_has_the_pixels_that_its_size_says() -> None:
    assert is_whole(RED)
    for width, height, rgb in ((2, 1, b"\0" * 5), (0, 1, b""), (1, 0, b""), (-1, -1, b"\0" * 3), (1, 1, b"\0" * 4)):
        assert not is_whole(Picture(width=width, height=height, rgb=rgb))
