"""Invariant: a field is read as it stands or not at all, and what is printed stays on its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.exported import printable
from tests.exported_records import EXPORTED, exported


def test_fields_of_another_type_are_not_there() -> None:
    it = exported(
        {"actor": "nobody", "event": 7, "result": {"status": True, "dur_ms": 1.6, "n": "5"}, "src": {"ip": "x"}}
    )
    assert (it.text("actor", "name"), it.text("event"), it.part("actor")) == ("", "", {})
    assert (it.number("result", "status"), it.whole("result", "dur_ms"), it.whole("result", "n")) == (None, 2, None)
    assert (it.address(), it.place, it.severity()) == ("", "box-0:7", "")


@pytest.mark.parametrize(("name", "read"), [("alice", "alice"), ("enc:1:k:t", ""), ("(erased)", "")])
def test_a_name_that_is_closed_is_no_name(name: str, read: str) -> None:
    assert exported({"actor": {"name": name}}).name() == read


@given(EXPORTED)
def test_its_place_names_it(it) -> None:  # type: ignore[no-untyped-def]
    assert it.place == f"{it.chain}:{it.seq}"
    assert it.facts() is not None


@given(st.text())
def test_printed_text_is_one_line(text: str) -> None:
    assert printable(text).isprintable()
    assert printable("plain é") == "plain é"
