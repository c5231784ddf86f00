"""Invariant: `read_strict_object` gives a dict or raises ValueError, for any bytes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.tokens.strict_json import read_strict_object


def test_an_object() -> None:
    assert read_strict_object(b' {"a": [1, 2.5, "x", null, true], "b": {"a": 1}} ') == {
        "a": [1, 2.5, "x", None, True],
        "b": {"a": 1},
    }


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"1", b'"x"', b"null", b"{", b"{}{}", b"{} x", b'{"a": 1, "a": 2}', b'{"b": {"a": 1, "a": 1}}',
        b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"\xff{}",
        b"\xef\xbb\xbf{}", b'{"a": 1' + b"0" * 5000 + b"}", b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b"{'a': 1}", b'{"a": 1,}',
    ],
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the kind is the contract; the words are for a log)
        read_strict_object(data)


def test_a_fault_repeats_nothing() -> None:
    with pytest.raises(ValueError) as fault:  # noqa: PT011
        read_strict_object(b'{"secret": "canary" x}')
    assert "canary" not in str(fault.value)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_strict_object(data), dict)
