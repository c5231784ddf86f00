"""Invariant: a line is read as it is or not at all, and nothing enciphered is shown."""

import msgspec
import pytest

from policies.auditing.report_line import number, read_report_line, shown
from tests.report_lines import act, stored, told


def test_a_line_is_read_and_what_it_does_not_say_is_empty() -> None:
    read = read_report_line(stored("x.y", "2026-10-01T00:00:00.000000Z", actor={"pseudonym": "pa pb", "new": 1}))
    assert (read.event, read.actor.people, read.result.slot_us, read.actor.team) == ("x.y", ("pa", "pb"), None, "")
    assert read.told() == {}
    assert read.changed().object == ""
    assert told("a", b=[1]).told() == {"b": [1]}
    assert act("a", change={"object": "key:1", "ticket": "T"}).changed().ticket == "T"


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"seq":"1"}', b'{"seq":1,"actor":[]}'])
def test_what_is_no_record_is_not_guessed_at(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read_report_line(data)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("plain", "plain"),
        (7, "7"),
        ([1, "a"], '[1,"a"]'),
        ("enc:1:abc:def", "(sealed)"),
        ("actor:enc:1:abc:def", "actor:(sealed)"),
        ("a:b:enc:1:abc:def", "(sealed)"),
        ("said enc:1:abc:def of it", "(sealed)"),
        (["enc:1:abc:def"], "(sealed)"),
    ],
)
def test_what_is_shown_of_a_value(value: object, text: str) -> None:
    assert shown(value) == text


def test_numbers() -> None:
    assert [number(value) for value in (1, 2.5, True, "3", None)] == [1.0, 2.5, None, None, None]
