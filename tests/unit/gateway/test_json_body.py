"""Invariant: `parse_object` gives a dict or raises BadRequest, for any bytes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.json_body import MAX_DEPTH, MAX_VALUES, parse_object
from policies.errors import BadRequest

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpora" / "json" / "test_parsing"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="JSONTestSuite is not beside the repository")

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def accepted(body: bytes) -> bool:
    try:
        assert isinstance(parse_object(body), dict)
    except BadRequest:
        return False
    return True


def as_ignored_field(name: str) -> bytes:
    return b'{"model": "m", "ignored": ' + (CORPUS / name).read_bytes() + b"}"


def names(prefix: str) -> list[str]:
    return sorted(path.name for path in CORPUS.glob(f"{prefix}*.json"))


@needs_corpus
def test_all_that_is_no_json_is_refused() -> None:
    assert len(names("n_")) == 188
    assert [name for name in names("n_") if accepted(as_ignored_field(name))] == []


@needs_corpus
def test_all_json_is_accepted_but_duplicate_keys() -> None:
    assert len(names("y_")) == 95
    refused = [name for name in names("y_") if not accepted(as_ignored_field(name))]
    assert refused == ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]


@needs_corpus
def test_what_parsers_differ_on_never_raises_anything_else() -> None:
    assert len(names("i_")) == 35
    for name in names("i_"):
        accepted(as_ignored_field(name))


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    accepted(body)


@given(st.lists(st.sampled_from([*'{}[],:"\\', "\\u", "d800", "1", "e9", "null", '"a":', "NaN", "\n"]), max_size=60))
def test_any_shape(parts: list[str]) -> None:
    accepted("".join(parts).encode())


@given(st.dictionaries(st.text(st.characters(codec="ascii"), max_size=3).map(str.lower), JSON, max_size=4))
def test_what_it_accepts_is_what_json_reads(document: dict[str, object]) -> None:
    body = json.dumps(document).encode()
    if accepted(body):
        read = parse_object(body)
        assert read == json.loads(body)
        json.dumps(read, ensure_ascii=False).encode()  # no lone surrogate is left


@pytest.mark.parametrize("body", [b"", b"  \n\t"])
def test_no_body(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_object(body)
    assert refused.value.text == "missing request body"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[1]", "json_not_object"),
        (b'"x"', "json_not_object"),
        (b'{"a": 1} x', "json_invalid"),
        (b'{"a": 1}{"a": 2}', "json_invalid"),
        (b'\xef\xbb\xbf{"a": 1}', "json_invalid"),
        (b'{"a": "\xff"}', "json_not_utf8"),
        (b'{"a": "\xed\xa0\x80"}', "json_not_utf8"),
        (b'{"a": 1, "a": 1}', "json_duplicate_key"),
        (b'{"model": "allowed", "MODEL": "secret"}', "json_duplicate_key"),
        ('{"k": 1, "\u212a": 2}'.encode(), "json_duplicate_key"),  # the Kelvin sign folds to k, as in Go
        (b'{"deep": {"b": {"x": 1, "X": 2}}}', "json_duplicate_key"),
        (b'{"a": NaN}', "json_not_finite"),
        (b'{"a": -Infinity}', "json_not_finite"),
        (b'{"a": 1e999}', "json_number_too_large"),
        (b'{"a": ' + b"9" * 350 + b"}", "json_number_too_large"),
        (b'{"a": ' + b"9" * 100_000 + b"}", "json_number_too_long"),
        (b'{"a": "\\ud800"}', "json_lone_surrogate"),
        (b'{"\\uDFFF": 1}', "json_lone_surrogate"),
        (b'{"a": [["\\ud83d"]]}', "json_lone_surrogate"),
        (b'{"a":' + b"[" * 100_000, "json_too_deep"),
        (b'{"a":' * 100_000, "json_too_deep"),
        (b'{"a":' * MAX_VALUES, "json_too_many_values"),
        (b"[" * (MAX_VALUES + 1), "json_too_many_values"),
        (b"]" * 8_000_000, "json_too_many_values"),
        (b'""' * 4_000_000, "json_too_many_values"),
        (b'{"a": [' + b"0," * MAX_VALUES + b"0]}", "json_too_many_values"),
    ],
)
def test_refused(body: bytes, reason: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_object(body)
    assert refused.value.reason == reason
    assert len(refused.value.text) < 100


def test_depth_is_counted_outside_strings_only() -> None:
    brackets = "[" * 200
    assert parse_object(f'{{"a": "{brackets}", "b\\"{{": 1}}'.encode()) == {"a": brackets, 'b"{': 1}
    inner = MAX_DEPTH - 1
    assert accepted(b'{"a":' + b"[" * inner + b"]" * inner + b"}")
    assert not accepted(b'{"a":' + b"[" * (inner + 1) + b"]" * (inner + 1) + b"}")


def test_numbers() -> None:
    read = parse_object(b'{"a": 18446744073709551615, "b": 18446744073709551616, "c": -9223372036854775809, "d": 1.0}')
    assert read == {"a": 2**64 - 1, "b": 2.0**64, "c": -(2.0**63), "d": 1.0}
    assert [type(value) for value in read.values()] == [int, float, float, float]


def test_surrogate_pairs_are_characters() -> None:
    assert parse_object(b'{"a": "\\ud83d\\ude39"}') == {"a": "\U0001f639"}


def test_unterminated_strings_take_linear_time() -> None:
    body = b'{"a": "' + b'\\"' * 1_000_000
    assert not accepted(body)  # quadratic, this test would run for hours
