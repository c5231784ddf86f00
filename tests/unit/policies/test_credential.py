"""Reading the credential: two places, one credential, and never a guess which one is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.credential import MAX_CREDENTIAL_BYTES, ApiKeyCredential, read_credential
from policies.errors import ConflictingCredentials, NotAuthenticated, Refused


@pytest.mark.parametrize(
    "headers",
    [
        ((b"Authorization", b"Bearer secret"),),
        ((b"authorization", b"bearer secret"),),
        ((b"AUTHORIZATION", b"BEARER   secret \t"),),
        ((b"x-api-key", b"secret"),),
        ((b"X-Api-Key", b" secret "),),
        ((b"Host", b"h"), (b"Authorization", b"Bearer secret"), (b"X-API-KEY", b"secret")),
    ],
)
def test_a_credential_in_either_place_or_the_same_in_both(headers):
    assert read_credential(headers) == ApiKeyCredential("secret")


@pytest.mark.parametrize("headers", [(), ((b"Host", b"h"), (b"x_api_key", b"secret"), (b"Cookie", b"key=secret"))])
def test_no_credential_says_so(headers):
    with pytest.raises(NotAuthenticated) as refused:
        read_credential(headers)
    assert (refused.value.reason, refused.value.presented) == ("no_credential", False)


@pytest.mark.parametrize(
    "headers",
    [
        ((b"Authorization", b"Bearer a"), (b"Authorization", b"Bearer a")),
        ((b"Authorization", b"Bearer a"), (b"authorization", b"Bearer b")),
        ((b"x-api-key", b"a"), (b"X-API-Key", b"a")),
        ((b"Authorization", b"Bearer a"), (b"x-api-key", b"b")),
        ((b"Authorization", b"Basic YTpi"), (b"x-api-key", b"b")),
        ((b"Authorization", b""), (b"x-api-key", b"b")),
    ],
)
def test_two_credentials_are_refused(headers):
    with pytest.raises(ConflictingCredentials):
        read_credential(headers)


@pytest.mark.parametrize(
    "header",
    [
        (b"Authorization", b""),
        (b"Authorization", b"Bearer"),
        (b"Authorization", b"Bearer "),
        (b"Authorization", b"secret"),
        (b"Authorization", b"Bearersecret"),
        (b"Authorization", b"Basic dTpw"),
        (b"Authorization", b"Bearer two words"),
        (b"Authorization", b"Bearer \xc3\xa9"),
        (b"Authorization", b"Bearer a\x00b"),
        (b"Authorization", b"Bearer a\x7f"),
        (b"Authorization", b"Bearer " + b"a" * MAX_CREDENTIAL_BYTES),
        (b"x-api-key", b""),
        (b"x-api-key", b"a" * (MAX_CREDENTIAL_BYTES + 1)),
    ],
)
def test_what_cannot_be_a_credential_was_presented_all_the_same(header):
    with pytest.raises(NotAuthenticated) as refused:
        read_credential((header,))
    assert (refused.value.reason, refused.value.presented) == ("malformed", True)


def test_a_credential_of_just_the_bound_is_read():
    assert read_credential(((b"x-api-key", b"a" * MAX_CREDENTIAL_BYTES),)).text == "a" * MAX_CREDENTIAL_BYTES


NAMES = st.sampled_from([b"authorization", b"Authorization", b"x-api-key", b"X-API-KEY", b"host", b"x_api_key"])
VALUES = st.one_of(st.binary(max_size=40), st.binary(max_size=20).map(lambda value: b"Bearer " + value))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5).map(tuple))
def test_any_headers_give_printable_ascii_or_a_refusal(headers):
    try:
        credential = read_credential(headers)
    except Refused:
        return
    assert credential.text.isascii()
    assert credential.text.isprintable()
    assert 0 < len(credential.text) <= MAX_CREDENTIAL_BYTES


def test_no_repr_shows_the_credential():
    assert "secret" not in repr(ApiKeyCredential("secret"))
