from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from gateway.dialects.fields import read_fields
from policies.errors import BadRequest


class Inner(Struct):
    name: str


class Wanted(Struct):
    model: str = ""
    count: Annotated[int, Meta(ge=1, le=9)] | None = None
    share: float = 0.5
    texts: str | list[str] = []
    inner: list[Inner] = []
    free: Any = None


def text_of(fields: dict[str, Any]) -> str:
    with pytest.raises(BadRequest) as refused:
        read_fields(fields, Wanted)
    return refused.value.text


def test_unknown_fields_are_ignored_and_null_is_unset() -> None:
    read = read_fields({"model": "m", "share": None, "count": None, "later": {"x": 1}}, Wanted)
    assert read == Wanted(model="m")


def test_numbers_may_be_written_as_integers() -> None:
    assert read_fields({"share": 1}, Wanted).share == 1.0


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"model": 1}, 'invalid field "model": must be string, not integer'),
        ({"share": "x"}, 'invalid field "share": must be number, not string'),
        ({"count": 0}, 'invalid field "count": must be integer >= 1'),
        ({"count": 2**70}, 'invalid field "count": must be integer <= 9'),
        ({"count": True}, 'invalid field "count": must be integer, not boolean'),
        ({"texts": 3}, 'invalid field "texts": must be string or array, not integer'),
        ({"texts": ["a", 3]}, 'invalid field "texts[1]": must be string, not integer'),
        ({"inner": [{"name": []}]}, 'invalid field "inner[0].name": must be string, not array'),
        ({"inner": [{}]}, 'missing field "inner[0].name"'),
        ({"inner": [None]}, 'invalid field "inner[0]": must be object, not null'),
        ({"Model": "m"}, 'field "model" must be written in lower case'),
    ],
)
def test_the_text_names_the_field(fields: dict[str, Any], text: str) -> None:
    assert text_of(fields) == text


class Chosen(Struct):
    kind: Literal["a", "b"] = "a"


def test_a_fault_of_another_form_repeats_nothing() -> None:
    with pytest.raises(BadRequest) as refused:
        read_fields({"kind": "secret words"}, Chosen)
    assert refused.value.text == "invalid request field"


def test_a_missing_field_at_the_top() -> None:
    with pytest.raises(BadRequest) as refused:
        read_fields({}, Inner)
    assert refused.value.text == 'missing field "name"'
