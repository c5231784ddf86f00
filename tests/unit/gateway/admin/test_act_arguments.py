"""Arguments of acts: typed and bounded, or refused with a sentence."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.act import ActRefused
from gateway.admin.act_arguments import Arguments, CreateKey, ListTeams, RevokeKey, read_arguments, read_span_s
from policies.credentials.api_key import mint


def test_defaults():
    read = read_arguments({"team": "blue"}, CreateKey)
    assert (read.expires, read.unsafe_no_expiry, read.networks) == (None, False, ())
    assert read.scopes == ("inference", "models")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id": "x", "reason": "a\nb"}, "reason holds characters that cannot be printed"),
        ({"id": "x", "ticket": "\x1b]0;x\x07"}, "ticket holds characters"),
        ({"id": "\u202e"}, "id holds characters"),
        ({"id": mint(bytes).text}, "id holds a whole key: give its id only"),
        ({"id": "x" * 257}, "length <= 256"),
        ({"id": None}, "Expected `str`"),
        ({"id": "x", "more": 1}, "unknown field `more`"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ActRefused) as refused:
        read_arguments(arguments, RevokeKey)
    assert refused.value.reason == "bad_argument"
    assert message in str(refused.value)
    assert mint(bytes).text not in str(refused.value)


def test_lists_are_bounded():
    with pytest.raises(ActRefused, match="length <= 64"):
        read_arguments({"team": "blue", "networks": ["::1/128"] * 65}, CreateKey)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["reason", "ticket", "team", "scopes", "networks", "expires", "x"]), JSON))
@pytest.mark.parametrize("shape", [CreateKey, ListTeams])
def test_any_json_is_read_or_refused(shape: type[Arguments], arguments):
    with contextlib.suppress(ActRefused):
        assert isinstance(read_arguments(arguments, shape), shape)


def test_spans_have_bounds():
    assert read_span_s("overlap", "0s", 0, 60) == 0
    assert read_span_s("overlap", "1m", 0, 60) == 60
    with pytest.raises(ActRefused, match="overlap must be 0s to 60s, not 61s"):
        read_span_s("overlap", "61s", 0, 60)
    with pytest.raises(ActRefused, match="overlap: 'x' is not a duration"):
        read_span_s("overlap", "x", 0, 60)
