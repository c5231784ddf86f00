"""The way back from the provider, check by check."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.console.oidc_endpoints import Endpoints
from policies.console.oidc_login import (
    LOGIN_S,
    MAX_CODE_CHARS,
    Login,
    Pending,
    authorization_query,
    begin,
    read_login,
    read_tokens,
    require_code,
    require_pending,
    token_form,
)
from policies.errors import NotAuthenticated
from policies.tokens.issuer_url import read_issuer_url

ISS = "https://id.example"
BACK = "https://console.example:8445/oidc/callback"
PENDING = Pending(redirect_uri=BACK, begun_s=1000.0)


def endpoints(*, names_issuer: bool = True) -> Endpoints:
    token = read_issuer_url(f"{ISS}/token")
    return Endpoints(issuer=ISS, authorization=f"{ISS}/a", token=token, secret_in_form=False, names_issuer=names_issuer)


def login(fill: int = 1) -> Login:
    drawn = iter((bytes([fill]) * 32, bytes([fill + 1]) * 32))
    return begin(lambda _count: next(drawn))


def reason_of(refused: pytest.ExceptionInfo[NotAuthenticated]) -> str:
    return refused.value.reason


def test_a_sign_in_draws_two_secrets_of_256_bits() -> None:
    drawn: list[int] = []

    def draw(count: int) -> bytes:
        drawn.append(count)
        return bytes(count)

    assert begin(draw) == Login(browser="A" * 43, state="A" * 43)
    assert drawn == [32, 32]


def test_the_challenge_is_the_verifiers_digest() -> None:
    one = login()
    digest = hashlib.sha256(one.verifier.encode()).digest()
    assert one.challenge == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert len(one.verifier) == 43  # RFC 7636 section 4.1: 43 to 128


@settings(max_examples=50)
@given(st.binary(min_size=64, max_size=64), st.binary(min_size=64, max_size=64))
def test_every_derived_value_depends_on_both_secrets(first: bytes, second: bytes) -> None:
    """Of two sign-ins that differ in either half, nothing is the same; of one, no two values are."""

    def made(data: bytes) -> Login:
        halves = iter((data[:32], data[32:]))
        return begin(lambda _count: next(halves))

    one, other, mixed = made(first), made(second), made(first[:32] + second[32:])
    for pair in ((one, other), (one, mixed)):
        if pair[0] != pair[1]:
            assert not set(values(pair[0])) & set(values(pair[1]))
    assert len(set(values(one))) == 4


def values(one: Login) -> tuple[str, ...]:
    return one.place, one.nonce, one.verifier, one.challenge


def test_secrets_stay_out_of_tracebacks() -> None:
    one = login()
    assert one.browser not in repr(one)
    assert "secret" not in repr(read_tokens(b'{"id_token":"secret","token_type":"Bearer"}'))


def test_what_the_provider_is_asked() -> None:
    one = login()
    asked = authorization_query(one, "corral", BACK, ("openid", "groups"))
    assert asked == {
        "response_type": "code",
        "client_id": "corral",
        "redirect_uri": BACK,
        "scope": "openid groups",
        "state": one.state,
        "nonce": one.nonce,
        "code_challenge": one.challenge,
        "code_challenge_method": "S256",
    }
    assert one.verifier not in asked.values()
    assert token_form(one, "c", BACK) == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": BACK,
        "code_verifier": one.verifier,
    }


def test_the_way_back_needs_the_state_and_the_browsers_cookie() -> None:
    one = login()
    assert read_login({"state": one.state}, one.browser) == one
    for state in ("", "x", one.state + "A", one.state[:-1] + "=", one.state[:-1] + "\n", "A" * 42 + "\u0661"):
        with pytest.raises(NotAuthenticated) as refused:
            read_login({"state": state}, one.browser)
        assert reason_of(refused) == "oidc_state"
    with pytest.raises(NotAuthenticated) as refused:
        read_login({}, one.browser)
    assert reason_of(refused) == "oidc_state"
    for cookie in ("", "x", one.browser + " "):
        with pytest.raises(NotAuthenticated) as refused:
            read_login({"state": one.state}, cookie)
        assert reason_of(refused) == "oidc_browser"


def test_a_state_has_another_place_in_another_browser() -> None:
    one, other = login(1), login(7)
    assert Login(browser=other.browser, state=one.state).place not in {one.place, other.place}


@pytest.mark.parametrize(
    ("pending", "now_s", "reason"),
    [
        (None, 1000.0, "oidc_state"),
        (PENDING, 1000.0 + LOGIN_S + 0.001, "oidc_late"),
        (PENDING, 999.999, "oidc_late"),
        (PENDING, float("nan"), "oidc_late"),
    ],
)
def test_a_sign_in_that_is_not_there_or_too_old(pending: Pending | None, now_s: float, reason: str) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        require_pending(pending, now_s)
    assert reason_of(refused) == reason


@pytest.mark.parametrize("age_s", [0.0, LOGIN_S])
def test_a_sign_in_lasts_ten_minutes(age_s: float) -> None:
    assert require_pending(PENDING, 1000.0 + age_s) is PENDING


@pytest.mark.parametrize(
    ("query", "names_issuer", "reason"),
    [
        ({"code": "c"}, True, "oidc_mix_up"),
        ({"code": "c", "iss": ""}, False, "oidc_mix_up"),
        ({"code": "c", "iss": "https://evil.example"}, True, "oidc_mix_up"),
        ({"code": "c", "iss": "https://evil.example"}, False, "oidc_mix_up"),
        ({"code": "c", "iss": ISS + "/"}, True, "oidc_mix_up"),
        ({"error": "access_denied", "iss": "https://evil.example"}, True, "oidc_mix_up"),
        ({"error": "access_denied", "code": "c", "iss": ISS}, True, "oidc_denied"),
        ({"error": "login_required"}, False, "oidc_denied"),
        ({"error": "server_error"}, False, "oidc_error"),
        ({"error": "<script>"}, False, "oidc_error"),
        ({"error": ""}, False, "oidc_error"),
        ({}, False, "oidc_form"),
        ({"code": ""}, False, "oidc_form"),
        ({"code": "a b"}, False, "oidc_form"),
        ({"code": "c\n"}, False, "oidc_form"),
        ({"code": "\u00e9"}, False, "oidc_form"),
        ({"code": "c" * (MAX_CODE_CHARS + 1)}, False, "oidc_form"),
    ],
)
def test_what_comes_back_wrong(query: dict[str, str], names_issuer: bool, reason: str) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        require_code(query, endpoints(names_issuer=names_issuer))
    assert reason_of(refused) == reason


def test_a_good_way_back() -> None:
    assert require_code({"code": "c", "iss": ISS}, endpoints()) == "c"
    assert require_code({"code": "c", "iss": ISS}, endpoints(names_issuer=False)) == "c"
    assert len(require_code({"code": "~" * MAX_CODE_CHARS}, endpoints(names_issuer=False))) == MAX_CODE_CHARS


def test_tokens_of_the_token_endpoint() -> None:
    answer = {"id_token": "a.b.c", "access_token": "t", "token_type": "bearer", "expires_in": 5}
    found = read_tokens(json.dumps(answer).encode())
    assert (found.unverified_id_token, found.access_token) == ("a.b.c", "t")
    del answer["access_token"]
    assert read_tokens(json.dumps(answer).encode()).access_token == ""


@pytest.mark.parametrize(
    "changes",
    [{"id_token": None}, {"id_token": ["a"]}, {"access_token": 7}, {"token_type": "mac"}, {"token_type": None}],
)
def test_tokens_of_a_wrong_form(changes: dict[str, Any]) -> None:
    answer = {"id_token": "a.b.c", "access_token": "t", "token_type": "Bearer", **changes}
    with pytest.raises(NotAuthenticated) as refused:
        read_tokens(json.dumps(answer).encode())
    assert reason_of(refused) == "oidc_form"


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"id_token":"a","id_token":"b","token_type":"Bearer"}'])
def test_an_answer_that_is_no_object(answer: bytes) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        read_tokens(answer)
    assert reason_of(refused) == "oidc_form"
