"""The ID token of a sign-in: what it must say, and every way in which it may not."""

import base64
import hashlib
from typing import Any

import pytest

from gateway.configuration.oidc_settings import OidcSettings
from policies.console.oidc_id_token import (
    MAX_BEFORE_S,
    MAX_ID_TOKEN_BYTES,
    Answered,
    Client,
    ProvenPerson,
    verify_id_token,
)
from policies.console.oidc_login import Redeemed, begin
from policies.errors import NotAuthenticated, NotAuthorized
from policies.tokens.jwt_form import MAX_JWT_BYTES, read_jwt
from tests.jwt_attacks import PLAYBOOK
from tests.tokens import AUD, ISS, NOW_S, claims, header, key_set, sign

KEYS = key_set("rsa-1", "ec-1", "ed-1")
LOGIN = begin(lambda count: b"x" * count)
CODE, ACCESS = "the-code", "the-access-token"


def client(preset: Any = "none", **values: Any) -> Client:
    return OidcSettings(issuer=ISS, client_id=AUD, client_secret_file="secret", preset=preset, **values).client()


def half(text: str, digest: str = "sha256") -> str:
    data = hashlib.new(digest, text.encode()).digest()
    return base64.urlsafe_b64encode(data[: len(data) // 2]).rstrip(b"=").decode()


def good(**changes: Any) -> dict[str, Any]:
    return claims(**{"nonce": LOGIN.nonce, "jti": ..., **changes})


def token(name: str = "rsa-1", alg: str = "RS256", head: dict[str, Any] | None = None, **changes: Any) -> str:
    return sign(good(**changes), header(name, alg, typ="JWT") if head is None else head, name)


def verify(text: str, of: Client | None = None, begun_s: float = NOW_S - 20) -> ProvenPerson:
    redeemed = Redeemed(unverified_id_token=text, access_token=ACCESS)
    answered = Answered(login=LOGIN, code=CODE, redeemed=redeemed, begun_s=begun_s)
    return verify_id_token(read_jwt(text, MAX_ID_TOKEN_BYTES), of or client(), answered, KEYS, NOW_S)


def reason(text: str, of: Client | None = None, **values: Any) -> str:
    with pytest.raises((NotAuthenticated, NotAuthorized)) as refused:
        verify(text, of, **values)
    return refused.value.reason


def test_a_good_token_says_who_it_is() -> None:
    person = verify(token(preferred_username="Ada L.", groups=["a", "b"], azp=AUD))
    assert person == ProvenPerson(
        issuer=ISS, subject="ada", name="Ada L.", groups=frozenset({"a", "b"}), issued_s=NOW_S - 10
    )


@pytest.mark.parametrize(
    ("name", "alg", "digest"),
    [
        ("rsa-1", "RS256", "sha256"),
        ("rsa-1", "PS256", "sha256"),
        ("ec-1", "ES256", "sha256"),
        ("ed-1", "EdDSA", "sha512"),
    ],
)
def test_hashes_are_those_of_the_algorithm(name: str, alg: str, digest: str) -> None:
    both = {"at_hash": half(ACCESS, digest), "c_hash": half(CODE, digest)}
    assert verify(token(name, alg, **both)).subject == "ada"
    for broken in ({"at_hash": half("other", digest)}, {"c_hash": half("other", digest)}, {"at_hash": 7}):
        assert reason(token(name, alg, **{**both, **broken})) == "oidc_hash"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"nonce": ...}, "oidc_nonce"),
        ({"nonce": ""}, "oidc_nonce"),
        ({"nonce": None}, "oidc_nonce"),
        ({"nonce": [LOGIN.nonce]}, "oidc_nonce"),
        ({"nonce": begin(lambda count: b"y" * count).nonce}, "oidc_nonce"),
        ({"nonce": "\u00fc"}, "oidc_nonce"),
        ({"azp": "other"}, "oidc_client"),
        ({"azp": None}, "oidc_client"),
        ({"azp": [AUD]}, "oidc_client"),
        ({"aud": "other"}, "jwt_audience"),
        ({"aud": [AUD, "other"]}, "jwt_audience"),
        ({"aud": []}, "jwt_audience"),
        ({"aud": ...}, "jwt_claim_missing"),
        ({"iss": ISS + "/"}, "jwt_issuer"),
        ({"iss": ...}, "jwt_claim_missing"),
        ({"sub": ...}, "jwt_claim_missing"),
        ({"sub": ""}, "jwt_claims_form"),
        ({"sub": "a\u202eb"}, "jwt_claims_form"),
        ({"sub": 7}, "jwt_claims_form"),
        ({"exp": NOW_S - 31, "iat": NOW_S - 100}, "jwt_expired"),
        ({"exp": ...}, "jwt_claim_missing"),
        ({"iat": NOW_S + 31}, "jwt_from_the_future"),
        ({"iat": ...}, "jwt_claim_missing"),
        ({"nbf": NOW_S + 31}, "jwt_not_yet_valid"),
        ({"exp": NOW_S + 86_400}, "jwt_lifetime"),
        ({"iat": NOW_S - 20 - MAX_BEFORE_S - 1}, "oidc_old"),
        ({"groups": {"a": 1}}, "jwt_claims_form"),
        ({"groups": [1]}, "jwt_claims_form"),
        ({"_claim_names": {"groups": "src1"}}, "jwt_group_overage"),
        ({"hasgroups": True}, "jwt_group_overage"),
    ],
)
def test_claims_that_do_not_fit(changes: dict[str, Any], expected: str) -> None:
    assert reason(token(**changes)) == expected


def test_a_provider_may_date_its_tokens_back_by_a_few_minutes() -> None:
    assert verify(token(iat=NOW_S - 20 - MAX_BEFORE_S)).subject == "ada"


@pytest.mark.parametrize("name", PLAYBOOK)
def test_no_forgery_of_the_playbook_passes(name: str) -> None:
    """All of them are made for the same keys; here as there none may pass."""
    with pytest.raises(NotAuthenticated):
        verify(PLAYBOOK[name])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (header(typ="at+jwt"), "jwt_typ"),
        (header(typ="JWS"), "jwt_typ"),
        (header(typ="JWT", alg="HS256"), "jwt_algorithm"),
        (header(typ="JWT", alg="none"), "jwt_algorithm"),
        (header(typ="JWT", alg="ES256K"), "jwt_algorithm"),
        (header(typ="JWT", kid="rsa-9"), "jwt_key"),
    ],
)
def test_headers_that_do_not_fit(head: dict[str, Any], expected: str) -> None:
    assert reason(token(head=head)) == expected


def test_a_header_without_a_type_is_an_id_tokens_too() -> None:
    assert verify(token(head=header(typ=...))).subject == "ada"


def test_a_foreign_signature() -> None:
    assert reason(sign(good(), header(typ="JWT"), "rsa-2")) == "jwt_signature"


def test_a_long_list_of_groups_is_taken_from_the_provider_itself() -> None:
    groups = [f"{number:036}" for number in range(200)]
    text = token(groups=groups)
    assert len(text) > MAX_JWT_BYTES
    assert verify(text).groups == frozenset(groups)
    with pytest.raises(NotAuthenticated):
        read_jwt("a" * MAX_ID_TOKEN_BYTES + ".b.c", MAX_ID_TOKEN_BYTES)


@pytest.mark.parametrize(
    ("shown", "name"),
    [("Ada", "Ada"), (" Ada ", "Ada"), ("\u674e\u96f7", "\u674e\u96f7"), (..., "ada"), (7, "ada"), ("", "ada"),
     ("  ", "ada"), ("a\nb", "ada"), ("a\u202eb", "ada"), ("x" * 256, "ada")],
)  # fmt: skip
def test_a_name_that_cannot_be_shown_gives_way_to_the_subject(shown: Any, name: str) -> None:
    assert verify(token(preferred_username=shown)).name == name


@pytest.mark.parametrize(
    ("preset", "changes", "expected"),
    [
        ("keycloak", {"typ": "ID", "preferred_username": "ada", "groups": ["/admins"]}, ("ada", "ada", {"/admins"})),
        ("entra", {"oid": "0-1", "preferred_username": "ada@x", "groups": ["g"]}, ("0-1", "ada@x", {"g"})),
        ("adfs", {"upn": "ada@corp", "group": "Corral Admins"}, ("ada", "ada@corp", {"Corral Admins"})),
        ("okta", {"preferred_username": "ada", "groups": ["Everyone"]}, ("ada", "ada", {"Everyone"})),
        ("authentik", {"preferred_username": "ada", "groups": ["admins"]}, ("ada", "ada", {"admins"})),
    ],
)
def test_presets(preset: str, changes: dict[str, Any], expected: tuple[str, str, set[str]]) -> None:
    person = verify(token(**changes), client(preset))
    assert (person.subject, person.name, set(person.groups)) == expected


@pytest.mark.parametrize("changes", [{}, {"typ": "Bearer"}, {"typ": ["ID"]}])
def test_keycloaks_access_token_is_no_id_token(changes: dict[str, Any]) -> None:
    assert reason(token(**changes), client("keycloak")) == "oidc_not_id_token"


def test_entra_without_oid() -> None:
    assert reason(token(), client("entra")) == "jwt_claim_missing"


def test_claims_by_name() -> None:
    of = client(subject_claim="uid", name_claim="full", groups_claim="realm_access.roles")
    person = verify(token(uid="u1", full="Ada L", realm_access={"roles": ["r"]}), of)
    assert (person.subject, person.name, person.groups) == ("u1", "Ada L", frozenset({"r"}))
