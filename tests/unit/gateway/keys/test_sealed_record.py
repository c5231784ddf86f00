"""What was sealed comes back; what nobody of ours wrote, or wrote for another field, does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.keys.sealed_record import BrokenSeal, plain_text, seal, unseal

PEPPERS = {1: b"1" * 32, 2: b"2" * 32}


@given(st.text(max_size=20), st.binary(max_size=50))
def test_what_was_sealed_comes_back(field, text):
    sealed = seal(PEPPERS, field, text)
    assert unseal(PEPPERS, field, sealed) == text
    assert unseal({2: PEPPERS[2]}, field, sealed) == text
    with pytest.raises(BrokenSeal):
        unseal(PEPPERS, field + "x", sealed)
    with pytest.raises(BrokenSeal):
        unseal(PEPPERS, field, sealed + b"x")
    with pytest.raises(BrokenSeal):
        unseal({1: PEPPERS[1]}, field, sealed)
    with pytest.raises(BrokenSeal):
        unseal({2: b"3" * 32}, field, sealed)


@given(st.binary(max_size=120))
def test_nothing_else_is_sealed(data):
    with pytest.raises(BrokenSeal):
        unseal(PEPPERS, "key:1", data)


@pytest.mark.parametrize("data", [b"", b"2", b"2:", b"2::", b":a:b", b"-2:a:b", b"99999999999999999999:a:b"])
def test_the_edges_of_the_form(data):
    with pytest.raises(BrokenSeal):
        unseal(PEPPERS, "key:1", data)


def test_the_same_content_is_the_same_text():
    one, two = {"b": 1, "at_s": 5, "a": b"x", "end_s": None}, {"end_s": None, "a": b"x", "at_s": 5.0, "b": 1}
    assert plain_text(one) == plain_text(two) == b'{"a":"eA==","at_s":5.0,"b":1,"end_s":null}'
