"""Reading the credential: two places, one credential, and never a guess which one is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.credential import (
    MAX_CREDENTIAL_BYTES,
    QUERY_NAMES,
    ApiKeyCredential,
    CertificateCredential,
    Credential,
    JwtCredential,
    Presented,
    SessionCredential,
    SignedCredential,
)
from policies.credentials.credential import read_credential as read_presented
from policies.errors import ConflictingCredentials, CredentialInUrl, NotAuthenticated, Refused

Headers = tuple[tuple[bytes, bytes], ...]
CERTIFICATE = ClientCertificate(sha256="0" * 64, x5t_s256="x", names=("dns:a",), not_after_s=1.0)


def read_credential(headers: Headers, query: str = "", **values) -> Credential:
    return read_presented(Presented("POST", "/api/chat", query, headers, **values))


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


JWT = b"eyJhbGciOiJFUzI1NiJ9.e30.c2ln"


@pytest.mark.parametrize("header", [(b"Authorization", b"Bearer " + JWT), (b"x-api-key", JWT)])
def test_three_parts_are_a_jwt(header):
    assert read_credential((header,)) == JwtCredential(JWT.decode())


@pytest.mark.parametrize("text", [b"a.b", b"a.b.c.d", b"a.b.c=", b"a..c", b".b.c", b"a.b.c d", b"a.b.c+"])
def test_any_other_text_is_a_key_or_nothing(text):
    try:
        credential = read_credential(((b"Authorization", b"Bearer " + text),))
    except NotAuthenticated:
        return
    assert credential == ApiKeyCredential(text.decode())


def test_a_token_and_a_key_in_one_request_are_refused():
    with pytest.raises(ConflictingCredentials):
        read_credential(((b"Authorization", b"Bearer " + JWT), (b"x-api-key", b"corral_x")))


def test_a_certificate_counts_where_no_header_speaks():
    assert read_credential((), certificate=CERTIFICATE) == CertificateCredential(CERTIFICATE)
    header = (b"x-api-key", b"secret")
    assert read_credential((header,), certificate=CERTIFICATE) == ApiKeyCredential("secret")
    with pytest.raises(NotAuthenticated):
        read_credential(((b"Authorization", b"Basic YTpi"),), certificate=CERTIFICATE)


def test_a_signature_comes_with_what_it_signs():
    credential = read_credential(((b"Authorization", b"a2V5:c2lnbg=="),), "x=1&ts=1700000000")
    assert credential == SignedCredential(b"key", b"sign", b"POST,/api/chat?x=1&ts=1700000000", 1_700_000_000)


@pytest.mark.parametrize("query", ["", "ts=", "ts=a", "ts=1&ts=2", "ts=-1", "ts=" + "1" * 13, "TS=1"])
def test_a_signature_without_its_time_is_malformed(query):
    with pytest.raises(NotAuthenticated, match="malformed"):
        read_credential(((b"Authorization", b"a2V5:c2lnbg=="),), query)


@pytest.mark.parametrize("value", [b"a2V5:c2lnbg", b"a2V:c2lnbg==", b"a2V5:", b":a2V5", b"a2V5:a2V5:a2V5"])
def test_a_signature_that_is_not_base64_is_malformed(value):
    with pytest.raises(NotAuthenticated, match="malformed"):
        read_credential(((b"Authorization", value),), "ts=1")


def test_a_signature_beside_a_key_is_refused():
    with pytest.raises(ConflictingCredentials):
        read_credential(((b"Authorization", b"a2V5:c2lnbg=="), (b"x-api-key", b"b")), "ts=1")


@pytest.mark.parametrize("name", sorted(QUERY_NAMES))
def test_a_credential_in_the_query_is_refused_whatever_stands_beside_it(name):
    for query in (f"{name}=x", f"a=1&{name.upper()}=x", name):
        for headers in ((), ((b"x-api-key", b"secret"),)):
            with pytest.raises(CredentialInUrl):
                read_credential(headers, query)


def test_other_names_in_a_query_are_no_credential():
    assert read_credential(((b"x-api-key", b"secret"),), "ts=1&monkey=2&tokens=3") == ApiKeyCredential("secret")


def test_a_request_that_the_console_hands_on_has_its_session():
    session = SessionCredential("cookie", "one")
    assert read_credential(((b"Host", b"h"),), session=session, certificate=CERTIFICATE) is session
    assert "cookie" not in repr(session)


@pytest.mark.parametrize("header", [(b"Authorization", b"Bearer a"), (b"x-api-key", b"a")])
def test_a_session_and_another_credential_are_two(header):
    with pytest.raises(ConflictingCredentials):
        read_credential((header,), session=SessionCredential("cookie", "one"))
