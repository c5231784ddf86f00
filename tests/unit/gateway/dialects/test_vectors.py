import base64
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UpstreamFailed
from gateway.dialects.vectors import base64_float32, finite_vector, unit_vector


def test_unit_length() -> None:
    assert unit_vector((3.0, 4.0)) == [0.6, 0.8]


def test_cut_and_scaled_again() -> None:
    assert unit_vector((3.0, 4.0, 12.0), 2) == [0.6, 0.8]
    assert unit_vector((3.0, 4.0), 5) == [0.6, 0.8]


def test_a_zero_vector_stays_zero() -> None:
    assert unit_vector((0.0, 0.0)) == [0.0, 0.0]
    assert unit_vector(()) == []


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=9).filter(lambda v: math.hypot(*v) > 1e-30))
def test_any_vector(vector: list[float]) -> None:
    assert math.isclose(math.hypot(*unit_vector(vector)), 1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_write_is_the_engines_fault(bad: float) -> None:
    with pytest.raises(UpstreamFailed):
        unit_vector((1.0, bad))
    with pytest.raises(UpstreamFailed):
        finite_vector((bad,))


def test_packed_as_little_endian_float32() -> None:
    packed = base64.b64decode(base64_float32([1.0, -0.5]))
    assert packed == bytes.fromhex("0000803f000000bf")
    assert struct.unpack("<2f", packed) == (1.0, -0.5)
