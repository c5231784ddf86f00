"""Invariant: `read_jwt` gives the token's one reading or raises NotAuthenticated, for any text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import NotAuthenticated
from policies.tokens.jwt_form import MAX_HEADER_BYTES, MAX_JWT_BYTES, read_claims, read_jwt, unverified_issuer
from tests.tokens import b64, claims, header, sign


def text_of(head: object, payload: object = None, signature: bytes = b"s") -> str:
    head_bytes = head if isinstance(head, bytes) else json.dumps(head).encode()
    body = b"{}" if payload is None else payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return f"{b64(head_bytes)}.{b64(body)}.{b64(signature)}"


def refusal(text: str) -> str:
    with pytest.raises(NotAuthenticated) as refused:
        read_jwt(text)
    assert refused.value.presented
    return refused.value.reason


def test_a_good_token_taken_apart() -> None:
    jwt = read_jwt(sign())
    assert (jwt.unverified_alg, jwt.unverified_kid, jwt.unverified_typ) == ("RS256", "rsa-1", "at+jwt")
    assert json.loads(jwt.unverified_payload) == claims()
    assert unverified_issuer(jwt) == claims()["iss"]
    assert "eyJ" not in repr(jwt)


def test_the_least_header() -> None:
    jwt = read_jwt(text_of({"alg": "RS256"}))
    assert (jwt.unverified_kid, jwt.unverified_typ) == ("", "")
    assert read_jwt(text_of(header(x5t="a", **{"x5t#S256": "b"}))).unverified_alg == "RS256"


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a", "a.b", ".b.c", "a.b.", "a..c", "a.b.c.d", "a.b.c.d.e", "a.b.c=", "a=.b.c", " a.b.c",
        "a.b.c\n", "a.b .c", "a+b.c.d", "a/b.c.d", "é.b.c", '{"payload":"a"}', "a.b.c\x00", "٣.b.c",
    ],
)  # fmt: skip
def test_one_shape_only(text: str) -> None:
    assert refusal(text) == "jwt_form"


def test_one_spelling_only() -> None:
    good = text_of({"alg": "RS256"}, b'{"a":1}', b"s")
    assert good.endswith(".cw")
    assert refusal(good[:-1] + "x") == "jwt_form"  # the same byte with other stray bits
    assert refusal(good + "AAA") == "jwt_form"  # a length that no bytes have
    assert refusal("e31." + good.split(".", 1)[1]) == "jwt_form"  # {} with stray bits


def test_bounds() -> None:
    assert read_jwt(text_of({"alg": "RS256"}, b" " * 6000))
    assert refusal(text_of({"alg": "RS256"}, b" " * MAX_JWT_BYTES)) == "jwt_form"
    room = MAX_HEADER_BYTES - len(json.dumps({"alg": "RS256", "x5t": ""}))
    assert read_jwt(text_of({"alg": "RS256", "x5t": "a" * room}))
    assert refusal(text_of({"alg": "RS256", "x5t": "a" * (room + 1)})) == "jwt_header"
    assert refusal(text_of({"alg": "RS256", "kid": "k" * 257})) == "jwt_header"


@pytest.mark.parametrize(
    "name", ["crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "cty", "enc", "epk", "ALG", "nonce", ""]
)
def test_a_header_with_anything_else_is_refused(name: str) -> None:
    for value in ("x", None, [], ["exp"], False, {"kty": "oct"}):
        assert refusal(text_of(header(**{name: value}))) == "jwt_header"


@pytest.mark.parametrize(
    "head",
    [
        {}, {"typ": "at+jwt"}, {"alg": None}, {"alg": ["RS256"]}, {"alg": 1}, {"alg": "RS256", "kid": 1},
        {"alg": "RS256", "typ": None}, [], "alg", b"{", b"\xff", b'{"alg":"none","alg":"RS256"}',
        b'{"alg":"RS256","kid":"a","kid":"b"}', b'{"alg":"RS256"} {}', b'{"alg":"\\ud800"}',
    ],
)  # fmt: skip
def test_headers_that_are_none(head: object) -> None:
    assert refusal(text_of(head)) == "jwt_header"


@pytest.mark.parametrize("payload", [b"", b"foo", b"[]", b'{"iss":1}', b"{}", b'{"iss":"a","iss":"b"}', b"\xff"])
def test_claims_without_an_issuer(payload: bytes) -> None:
    jwt = read_jwt(text_of({"alg": "RS256"}, payload or b" "))
    with pytest.raises(NotAuthenticated, match="jwt_claims_form"):
        unverified_issuer(jwt)


def test_claims_that_are_an_object() -> None:
    assert read_claims(b'{"a": 1}') == {"a": 1}


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.=", max_size=80) | st.text())
def test_any_text(text: str) -> None:
    try:
        assert read_jwt(text).text == text
    except NotAuthenticated as refused:
        assert refused.reason in ("jwt_form", "jwt_header")  # noqa: PT017
