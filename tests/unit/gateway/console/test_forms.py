"""Queries and forms: one value a name, UTF-8, or refused."""

from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.console.forms import FORM_TYPE, MAX_FIELDS, read_form, read_query
from policies.errors import BadRequest


def refused(step, *arguments) -> str:
    with pytest.raises(BadRequest) as fault:
        step(*arguments)
    return fault.value.reason


def test_fields_are_decoded_once():
    assert read_query("a=1&b=%E4%BD%A0+x&c=%2541&d=") == {"a": "1", "b": "你 x", "c": "%41", "d": ""}
    assert read_query("") == {}
    assert read_form(f"{FORM_TYPE}; charset=UTF-8", b"a=b%0D%0A") == {"a": "b\r\n"}
    assert read_form(FORM_TYPE, b"") == {}


@pytest.mark.parametrize("text", ["a=1&a=2", "a=1&b=2&a="])
def test_a_name_that_stands_twice_is_refused(text):
    assert refused(read_query, text) == "query_field_repeated"
    assert refused(read_form, FORM_TYPE, text.encode()) == "form_field_repeated"


@pytest.mark.parametrize(
    "text", ["a=%FF", "a=%ED%A0%80", "novalue", "&", "&".join(f"a{n}=1" for n in range(MAX_FIELDS + 1))]
)
def test_what_cannot_be_read_in_one_way_is_refused(text):
    assert refused(read_query, text) == "query_malformed"
    assert refused(read_form, FORM_TYPE, text.encode()) == "form_malformed"


def test_a_form_is_urlencoded_ascii():
    assert refused(read_form, FORM_TYPE, "a=ü".encode()) == "form_malformed"
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json", ""):
        assert refused(read_form, kind, b"a=1") == "form_type"


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20),
        st.text(st.characters(blacklist_categories=("Cs",)), max_size=50),
        max_size=20,
    )
)
def test_whatever_a_browser_encodes_comes_back(fields):
    assert read_form(FORM_TYPE, urlencode(fields).encode()) == fields
