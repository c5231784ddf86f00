from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.keep_alive import read_keep_alive
from policies.errors import BadRequest


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (-1, -1.0),
        (1.5, 1.5),
        ("0", 0.0),
        ("-0", 0.0),
        ("0s", 0.0),
        ("300ms", 0.3),
        ("1.5h", 5400.0),
        ("2h45m", 9900.0),
        ("-1m", -60.0),
        ("+5s", 5.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("10us", 1e-5),
        ("10\u00b5s", 1e-5),
        ("10\u03bcs", 1e-5),
        ("7ns", 7e-9),
    ],
)
def test_read(given: Any, seconds: float | None) -> None:
    assert read_keep_alive(given) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("10", 'time: missing unit in duration "10"'),
        ("1h5", 'time: missing unit in duration "1h5"'),
        ("10x", 'time: unknown unit "x" in duration "10x"'),
        ("5 m", 'time: unknown unit " m" in duration "5 m"'),
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("h", 'time: invalid duration "h"'),
        (".s", 'time: invalid duration ".s"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),
        (True, "Unsupported type: 'bool'"),
        ([1], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
    ],
)
def test_refused_in_gos_words(given: Any, text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_keep_alive(given)
    assert refused.value.text == text


@given(st.text() | st.text("0123456789.+-hmsnuµ", max_size=90))
def test_any_text(text: str) -> None:
    try:
        assert isinstance(read_keep_alive(text), float)
    except BadRequest as refused:
        told = refused.text
    else:
        told = ""
    assert len(told) < 250
