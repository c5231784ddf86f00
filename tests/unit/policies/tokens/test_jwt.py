"""A token is proof or it is nothing: every step's refusals, and any change of one character."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.credentials.client_certificate import ClientCertificate
from policies.errors import NotAuthenticated
from policies.tokens.issuer import Issuer
from policies.tokens.jwk import KeySet, select_key
from policies.tokens.jwt import VerifiedJwt, check_kind, require_binding, verify_jwt, verify_signature
from policies.tokens.jwt_form import UnverifiedJwt, read_jwt
from tests.jwt_attacks import GOOD, PLAYBOOK, forged
from tests.tokens import AUD, ISS, NOW_S, b64, claims, header, issuer, jwk, key_set, sign

KEYS = key_set("rsa-1", "ec-1", "ed-1")
NOW = int(NOW_S)
PLAIN = issuer()


def verify(text: str, who: Issuer = PLAIN, keys: KeySet = KEYS, now_s: float = NOW_S) -> VerifiedJwt:
    return verify_jwt(read_jwt(text), who, keys, now_s)


def outcome(text: str, who: Issuer = PLAIN, keys: KeySet = KEYS) -> str:
    """ok, or the reason of the refusal."""
    try:
        verify(text, who, keys)
    except NotAuthenticated as refused:
        return refused.reason if refused.presented else "not presented"
    return "ok"


# ---- what is accepted


@pytest.mark.parametrize(
    ("alg", "name"), [("RS256", "rsa-1"), ("PS256", "rsa-1"), ("ES256", "ec-1"), ("EdDSA", "ed-1")]
)
def test_the_default_algorithms(alg: str, name: str) -> None:
    verified = verify(sign(head=header(name, alg), name=name))
    assert (verified.subject, verified.jti, verified.binding) == ("ada", "t1", "")
    assert (verified.issued_s, verified.expires_s) == (NOW_S - 10, NOW_S + 3590 + 30)


@pytest.mark.parametrize(
    ("alg", "name"),
    [("RS384", "rsa-1"), ("RS512", "rsa-1"), ("PS384", "rsa-1"), ("PS512", "rsa-1"),
    ("ES384", "ec384-1"), ("ES512", "ec521-1")],
)  # fmt: skip
def test_others_by_the_operators_word(alg: Any, name: str) -> None:
    text, keys = sign(head=header(name, alg), name=name), key_set("rsa-1", "ec384-1", "ec521-1")
    assert outcome(text, PLAIN, keys) == "jwt_algorithm"
    assert outcome(text, issuer(algorithms=(alg,)), keys) == "ok"


# ---- claims: what each may be. `...` leaves a claim out.

LISTED = issuer(many_audiences=True)
STRICT = issuer(max_lifetime_s=60.0, leeway_s=0.0)
BOUND = issuer(require_binding=True)
NAMED = issuer(subject_claim="upn")
ENTRA, KEYCLOAK = issuer(preset="entra"), issuer(preset="keycloak")
OKTA, ADFS = issuer(preset="okta"), issuer(preset="adfs")

CASES: list[tuple[dict[str, Any], str, Issuer]] = [
    ({}, "ok", PLAIN),
    # required
    ({"exp": ...}, "jwt_claim_missing", PLAIN),
    ({"iat": ...}, "jwt_claim_missing", PLAIN),
    ({"iss": ...}, "jwt_claim_missing", PLAIN),
    ({"aud": ...}, "jwt_claim_missing", PLAIN),
    ({"sub": ...}, "jwt_claim_missing", PLAIN),
    ({"jti": ...}, "ok", PLAIN),
    ({"upn": "ada@corp"}, "ok", NAMED),
    ({"sub": ..., "upn": "ada@corp"}, "ok", NAMED),
    ({}, "jwt_claim_missing", NAMED),
    # the exact issuer
    ({"iss": ISS + "/"}, "jwt_issuer", PLAIN),
    ({"iss": ISS.upper()}, "jwt_issuer", PLAIN),
    ({"iss": ISS[:-1]}, "jwt_issuer", PLAIN),
    ({"iss": [ISS]}, "jwt_issuer", PLAIN),
    ({"iss": None}, "jwt_issuer", PLAIN),
    ({"iss": ""}, "jwt_issuer", PLAIN),
    # aud
    ({"aud": [AUD]}, "ok", PLAIN),
    ({"aud": "other"}, "jwt_audience", PLAIN),
    ({"aud": AUD.upper()}, "jwt_audience", PLAIN),
    ({"aud": AUD + " "}, "jwt_audience", PLAIN),
    ({"aud": "corral-staging"}, "jwt_audience", PLAIN),
    ({"aud": f"{AUD} other"}, "jwt_audience", PLAIN),
    ({"aud": [AUD, "other"]}, "jwt_audience", PLAIN),
    ({"aud": [AUD, "other"]}, "ok", LISTED),
    ({"aud": ["a", "b"]}, "jwt_audience", LISTED),
    ({"aud": []}, "jwt_audience", PLAIN),
    ({"aud": ""}, "jwt_audience", PLAIN),
    ({"aud": None}, "jwt_claims_form", PLAIN),
    ({"aud": {"corral": 1}}, "jwt_claims_form", PLAIN),
    ({"aud": [AUD, 1]}, "jwt_claims_form", LISTED),
    ({"aud": [[AUD]]}, "jwt_claims_form", PLAIN),
    # exp
    ({"iat": NOW - 60, "exp": NOW - 29}, "ok", PLAIN),
    ({"exp": NOW - 30}, "jwt_expired", issuer(max_lifetime_s=60.0)),
    ({"exp": NOW - 3600, "iat": NOW - 7200}, "jwt_expired", PLAIN),
    ({"exp": 0, "iat": -60}, "jwt_expired", PLAIN),
    ({"exp": -1}, "jwt_expired", PLAIN),
    ({"exp": NOW + 0.5, "iat": NOW - 0.5}, "ok", STRICT),
    ({"exp": NOW, "iat": NOW - 1}, "jwt_expired", STRICT),
    ({"exp": str(NOW + 60)}, "jwt_claims_form", PLAIN),
    ({"exp": None}, "jwt_claims_form", PLAIN),
    ({"exp": True}, "jwt_claims_form", PLAIN),
    ({"exp": [NOW + 60]}, "jwt_claims_form", PLAIN),
    ({"exp": {"a": 1}}, "jwt_claims_form", PLAIN),
    ({"exp": 1e300}, "jwt_claims_form", PLAIN),
    ({"exp": 2**52}, "jwt_lifetime", PLAIN),
    ({"exp": 10**400}, "jwt_claims_form", PLAIN),
    # iat
    ({"iat": NOW + 30}, "ok", PLAIN),
    ({"iat": NOW + 31}, "jwt_from_the_future", PLAIN),
    ({"iat": NOW + 1}, "jwt_from_the_future", STRICT),
    ({"iat": str(NOW)}, "jwt_claims_form", PLAIN),
    ({"iat": False}, "jwt_claims_form", PLAIN),
    ({"iat": None}, "jwt_claims_form", PLAIN),
    # nbf
    ({"nbf": NOW}, "ok", PLAIN),
    ({"nbf": NOW + 30}, "ok", PLAIN),
    ({"nbf": NOW + 31}, "jwt_not_yet_valid", PLAIN),
    ({"nbf": "0"}, "jwt_claims_form", PLAIN),
    ({"nbf": None}, "jwt_claims_form", PLAIN),
    # lifetime
    ({"iat": NOW, "exp": NOW + 86400}, "ok", PLAIN),
    ({"iat": NOW, "exp": NOW + 86401}, "jwt_lifetime", PLAIN),
    ({"iat": 0, "exp": NOW + 60}, "jwt_lifetime", PLAIN),
    ({"iat": NOW, "exp": NOW + 60}, "ok", STRICT),
    ({"iat": NOW, "exp": NOW + 61}, "jwt_lifetime", STRICT),
    ({"iat": NOW + 20, "exp": NOW + 20}, "jwt_lifetime", PLAIN),
    ({"iat": NOW + 20, "exp": NOW + 10}, "jwt_lifetime", PLAIN),
    # sub, jti
    ({"sub": ""}, "jwt_claims_form", PLAIN),
    ({"sub": 7}, "jwt_claims_form", PLAIN),
    ({"sub": None}, "jwt_claims_form", PLAIN),
    ({"sub": "a\nb"}, "jwt_claims_form", PLAIN),
    ({"sub": "a\x1b[31m"}, "jwt_claims_form", PLAIN),
    ({"sub": "a" * 255}, "ok", PLAIN),
    ({"sub": "a" * 256}, "jwt_claims_form", PLAIN),
    ({"sub": "Zoë"}, "ok", PLAIN),
    ({"jti": 1}, "jwt_claims_form", PLAIN),
    ({"jti": ""}, "jwt_claims_form", PLAIN),
    ({"jti": None}, "jwt_claims_form", PLAIN),
    # a confirmation is understood or refused
    ({"cnf": {"x5t#S256": "t" * 43}}, "ok", PLAIN),
    ({"cnf": {"x5t#S256": "t" * 43}}, "ok", BOUND),
    ({}, "jwt_binding", BOUND),
    ({"cnf": None}, "jwt_binding", PLAIN),
    ({"cnf": {}}, "jwt_binding", PLAIN),
    ({"cnf": "t"}, "jwt_binding", PLAIN),
    ({"cnf": {"jkt": "t"}}, "jwt_binding", PLAIN),
    ({"cnf": {"jwk": {"kty": "RSA"}}}, "jwt_binding", PLAIN),
    ({"cnf": {"x5t#S256": "t", "jkt": "t"}}, "jwt_binding", PLAIN),
    ({"cnf": {"x5t#S256": ""}}, "jwt_binding", PLAIN),
    ({"cnf": {"x5t#S256": 5}}, "jwt_binding", PLAIN),
    ({"cnf": {"X5T#S256": "t"}}, "jwt_binding", PLAIN),
    # no ID tokens
    ({"at_hash": "x"}, "jwt_not_access_token", PLAIN),
    ({"c_hash": "x"}, "jwt_not_access_token", PLAIN),
    ({}, "jwt_not_access_token", ENTRA),
    ({"azp": "c"}, "ok", ENTRA),
    ({"appid": "c"}, "ok", ENTRA),
    ({"azp": None}, "jwt_not_access_token", ENTRA),
    ({"typ": "Bearer"}, "ok", KEYCLOAK),
    ({"typ": "ID"}, "jwt_not_access_token", KEYCLOAK),
    ({"typ": "Refresh"}, "jwt_not_access_token", KEYCLOAK),
    ({}, "jwt_not_access_token", KEYCLOAK),
    ({"cid": "c"}, "ok", OKTA),
    ({}, "jwt_not_access_token", OKTA),
    ({"appid": "c"}, "ok", ADFS),
    ({"azp": "c"}, "jwt_not_access_token", ADFS),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected", "who"), CASES)
def test_claims(changes: dict[str, Any], expected: str, who: Issuer) -> None:
    assert outcome(sign(claims(**changes)), who) == expected


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("payload", [b"foo", b"[]", b'{"iss":"a","iss":"b"}', b"\xff", b'{"exp":NaN}'])
def test_signed_nonsense_is_nonsense(payload: bytes) -> None:
    assert outcome(sign(payload)) == "jwt_claims_form"


def test_entra_names_the_token_in_uti() -> None:
    assert verify(sign(claims(azp="c", jti=..., uti="u1")), ENTRA).jti == "u1"
    assert verify(sign(claims(azp="c", uti="u1")), ENTRA).jti == "t1"
    assert verify(sign(claims(jti=...))).jti == ""


# ---- typ


@pytest.mark.parametrize(
    ("typ", "expected", "who"),
    [
        ("at+jwt", "ok", PLAIN), ("AT+JWT", "ok", PLAIN), ("application/at+jwt", "ok", PLAIN),
        ("JWT", "jwt_typ", PLAIN),
        (..., "jwt_typ", PLAIN), ("", "jwt_typ", PLAIN), ("id_token+jwt", "jwt_typ", PLAIN),
        ("dpop+jwt", "jwt_typ", PLAIN),
        ("logout+jwt", "jwt_typ", PLAIN), ("secevent+jwt", "jwt_typ", PLAIN), ("at+jwt ", "jwt_typ", PLAIN),
        ("JWT", "ok", issuer(typ=("JWT",))), ("at+jwt", "jwt_typ", issuer(typ=("JWT",))),
        (..., "ok", issuer(typ=("",))),
    ],
)  # fmt: skip
def test_typ(typ: Any, expected: str, who: Issuer) -> None:
    assert outcome(sign(head=header(typ=typ)), who) == expected


@pytest.mark.parametrize("who", [ENTRA, KEYCLOAK, OKTA, ADFS])
def test_products_send_jwt(who: Issuer) -> None:
    product = claims(azp="c", appid="c", cid="c", typ="Bearer")
    assert outcome(sign(product, header(typ="JWT")), who) == "ok"
    assert outcome(sign(product, header(typ=...)), who) == ("ok" if who is OKTA else "jwt_typ")


# ---- the playbook of attacks (jwt_tool and the CVEs of PyJWT)


@pytest.mark.parametrize("name", PLAYBOOK)
def test_the_playbook(name: str) -> None:
    with pytest.raises(NotAuthenticated):
        verify(PLAYBOOK[name])


def test_the_playbook_is_long_and_the_original_is_good() -> None:
    assert len(PLAYBOOK) >= 80
    assert outcome(GOOD) == "ok"


@pytest.mark.parametrize(
    ("members", "bits"),
    [({"use": "enc"}, 2048), ({"key_ops": ["encrypt"]}, 2048), ({"alg": "PS256"}, 2048), ({}, 3072)],
)
def test_a_key_that_is_not_for_this(members: dict[str, Any], bits: int) -> None:
    assert outcome(GOOD, issuer(min_rsa_bits=bits), key_set(jwk("rsa-1", **members), "ec-1")) == "jwt_key"


def test_the_kind_is_checked_before_any_key() -> None:
    check_kind(read_jwt(GOOD), PLAIN)
    with pytest.raises(NotAuthenticated, match="jwt_algorithm"):
        check_kind(read_jwt(forged(header(alg="none"), "AA")), PLAIN)
    assert outcome(sign(head=header(typ="JWT")), PLAIN, KeySet(())) == "jwt_typ"


def test_a_payload_other_than_the_signed_one_is_no_payload() -> None:
    jwt, key = read_jwt(GOOD), select_key(KEYS, "rsa-1", "RS256", 2048)
    swapped = UnverifiedJwt(
        text=jwt.text, unverified_alg="RS256", unverified_kid="rsa-1", unverified_typ="at+jwt", unverified_payload=b"{}"
    )
    assert verify_signature(jwt, key) == jwt.unverified_payload
    with pytest.raises(NotAuthenticated, match="jwt_signature"):
        verify_signature(swapped, key)


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ "


def test_every_other_character_at_the_end_is_refused() -> None:
    """The last character has bits that a lenient decoder ignores: 16 spellings of one signature."""
    for algorithm, name in (("RS256", "rsa-1"), ("ES256", "ec-1"), ("EdDSA", "ed-1")):
        good = sign(head=header(name, algorithm), name=name)
        assert outcome(good) == "ok"
        for character in ALPHABET.replace(good[-1], ""):
            assert outcome(good[:-1] + character) in ("jwt_form", "jwt_signature")


@settings(max_examples=400)
@given(st.sampled_from([GOOD, sign(head=header("ec-1", "ES256"), name="ec-1")]), st.data())
def test_any_change_of_one_character_is_refused(good: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(good) - 1))
    character = data.draw(st.sampled_from(ALPHABET.replace(good[place], "")))
    edit = data.draw(st.sampled_from(["replace", "insert", "delete"]))
    changed = good[:place] + ("" if edit == "delete" else character) + good[place + (edit != "insert") :]
    if changed == good:
        return
    assert outcome(changed) != "ok"


def test_the_second_signature_that_ecdsa_allows_proves_the_same_and_no_more() -> None:
    """(r, n - s): a holder can make it without the key, so nothing may be revoked by a token's bytes."""
    good = sign(head=header("ec-1", "ES256"), name="ec-1")
    signed, _, spelt = good.rpartition(".")
    signature = base64.urlsafe_b64decode(spelt + "==")
    other_s = P256_ORDER - int.from_bytes(signature[32:], "big")
    twin = f"{signed}.{b64(signature[:32] + other_s.to_bytes(32, 'big'))}"
    assert twin != good
    assert verify(twin) == verify(good)


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


# ---- cnf


def certificate(thumbprint: str) -> ClientCertificate:
    return ClientCertificate(sha256="0" * 64, x5t_s256=thumbprint, names=(), not_after_s=0.0)


def test_a_bound_token_needs_its_certificate() -> None:
    binding = verify(sign(claims(cnf={"x5t#S256": "T" * 43}))).binding
    require_binding(binding, certificate("T" * 43))
    require_binding("", None)
    require_binding("", certificate("T" * 43))
    for other in (None, certificate(""), certificate("t" * 43), certificate("T" * 42), certificate("T" * 44)):
        with pytest.raises(NotAuthenticated, match="jwt_binding"):
            require_binding(binding, other)
