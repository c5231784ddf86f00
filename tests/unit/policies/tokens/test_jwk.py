"""Which keys of a set are usable at all, and which one may prove a token."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import NotAuthenticated
from policies.tokens.jwk import FAMILIES, MAX_KEYS, MAX_SET_BYTES, NoSigningKey, read_key_set, select_key
from tests.tokens import jwk, jwks, key_set, private_key

B64_ZERO = base64.urlsafe_b64encode(b"\0").decode().rstrip("=")


def selected(keys: Any, kid: str = "rsa-1", algorithm: str = "RS256", min_rsa_bits: int = 2048) -> bool:
    try:
        select_key(keys, kid, algorithm, min_rsa_bits)
    except NotAuthenticated as refused:
        return refused.reason != "jwt_key"
    return True


def test_a_set_of_every_kind() -> None:
    keys = key_set("rsa-1", "ec-1", "ec384-1", "ec521-1", "ed-1")
    assert [key.kid for key in keys.keys] == ["rsa-1", "ec-1", "ec384-1", "ec521-1", "ed-1"]
    fitting = {
        (algorithm, key.kid) for algorithm in FAMILIES for key in keys.keys if selected(keys, key.kid, algorithm)
    }
    assert fitting == {
        *((f"{family}{bits}", "rsa-1") for family in ("RS", "PS") for bits in (256, 384, 512)),
        ("ES256", "ec-1"),
        ("ES384", "ec384-1"),
        ("ES512", "ec521-1"),
        ("EdDSA", "ed-1"),
    }
    assert select_key(keys, "ec-1", "ES256", 2048) == private_key("ec-1").public_key()


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "none", "NONE", "", "RSA-OAEP", "rs256", "ES256K"])
def test_no_key_is_for_other_algorithms(algorithm: str) -> None:
    assert not selected(key_set("rsa-1", "ec-1"), "rsa-1", algorithm)
    assert not selected(key_set(jwk("rsa-1", alg=algorithm)), "rsa-1", algorithm)


@pytest.mark.parametrize(
    ("members", "fits"),
    [
        ({}, True), ({"use": None}, True), ({"use": "enc"}, False), ({"use": "SIG"}, False),
        ({"key_ops": ["verify"]}, True), ({"key_ops": ["verify", "sign"]}, True), ({"key_ops": ["encrypt"]}, False),
        ({"key_ops": []}, False), ({"use": None, "key_ops": ["verify"]}, True),
        ({"use": "enc", "key_ops": ["verify"]}, False),
        ({"alg": "RS256"}, True), ({"alg": "PS256"}, False), ({"alg": "HS256"}, False), ({"alg": "rs256"}, False),
        ({"kid": "other"}, False), ({"kid": None}, False), ({"crv": "P-256"}, False),
    ],
)  # fmt: skip
def test_what_a_key_says_it_is_for(members: dict[str, Any], *, fits: bool) -> None:
    assert selected(key_set(jwk("rsa-1", **members))) is fits


def test_exactly_one() -> None:
    assert selected(key_set("rsa-1", "rsa-2"), "rsa-2")
    assert not selected(key_set("rsa-1", "rsa-2"), "rsa-3")
    assert not selected(key_set("rsa-1", jwk("rsa-2", kid="rsa-1")))
    assert selected(key_set(jwk("rsa-1", alg="RS256"), jwk("rsa-2", kid="rsa-1", alg="PS256")))
    assert selected(key_set("rsa-1", "ec-1"), "", "ES256"), "without a kid, the one key of that type"
    assert not selected(key_set("rsa-1", "rsa-2"), "")


def test_lengths_of_rsa_keys() -> None:
    assert selected(key_set("rsa-1"), min_rsa_bits=2048)
    assert not selected(key_set("rsa-1"), min_rsa_bits=3072)
    assert not selected(key_set("rsa1024-1", "ec-1"), "rsa1024-1")
    assert selected(key_set("rsa3072-1"), "rsa3072-1", min_rsa_bits=3072)


UNUSABLE = [
    {"kty": "oct", "k": "c2VjcmV0", "kid": "rsa-1"},
    {"kty": "oct", "k": "", "kid": "rsa-1", "alg": "HS256"},
    {"kty": "EC"}, {"kty": "RSA"}, {"kty": "OKP"}, {"kty": ""}, {"kty": 1}, {}, {"kty": "dir"},
    {"d": "AQAB"}, {"p": "AQAB"}, {"k": "AQAB"}, {"n": 5}, {"n": None, "e": "AQAB"}, {"e": ""}, {"n": "!"},
    {"e": B64_ZERO}, {"e": "AQ"}, {"e": "Ag"}, {"e": "AQAAAAAAAAAB"},
    {"n": "A" * 5000}, {"kid": 1}, {"use": []}, {"key_ops": "verify"},
    {"key_ops": [1]}, {"alg": None, "kid": {}},
]  # fmt: skip


@pytest.mark.parametrize("members", UNUSABLE)
def test_a_strange_key_is_left_out_and_stops_no_other(members: dict[str, Any]) -> None:
    strange = members if "kty" in members or not members else {**jwk("rsa-1"), **members}
    keys = read_key_set(json.dumps({"keys": [strange, jwk("ec-1")]}).encode())
    assert [key.kid for key in keys.keys] == ["ec-1"]


def test_a_private_key_is_not_kept() -> None:
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415 (only here is a private JWK made)

    private = {**RSAAlgorithm.to_jwk(private_key("rsa-1"), as_dict=True), "kid": "rsa-1", "use": "sig"}
    private.pop("key_ops")
    assert [key.kid for key in key_set(private, "ec-1").keys] == ["ec-1"]


@pytest.mark.parametrize(
    "member",
    [
        {**jwk("ec-1"), "crv": "secp256k1"}, {**jwk("ec-1"), "crv": "P-384"}, {**jwk("ec-1"), "y": jwk("ec-2")["y"]},
        {**jwk("ec-1"), "x": "AA"}, {**jwk("ed-1"), "crv": "Ed448"}, {**jwk("ed-1"), "crv": "X25519"},
        {**jwk("ed-1"), "x": "AA"},
    ],
)  # fmt: skip
def test_curves_that_are_not_ours_and_points_off_the_curve(member: dict[str, Any]) -> None:
    assert [key.kid for key in key_set(member, "rsa-1").keys] == ["rsa-1"]


def test_ed448_is_a_key_of_pyjwt_but_not_of_ours() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey  # noqa: PLC0415
    from jwt.algorithms import OKPAlgorithm  # noqa: PLC0415

    member = OKPAlgorithm.to_jwk(Ed448PrivateKey.generate().public_key(), as_dict=True)
    assert [key.kid for key in key_set({**member, "kid": "ed448"}, "rsa-1").keys] == ["rsa-1"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "JSONDecodeError"), (b"[]", "not an object"), (b"{}", "without a list"),
        (b'{"keys": {}}', "without a list"),
        (b'{"keys": [1]}', "without a list"), (b'{"keys": []}', "can verify"), (b'{"keys": [{}]}', "can verify"),
        (b'{"keys": [], "keys": []}', "twice"), (b"<html>", "JSONDecodeError"), (b"\x1f\x8b\x08", "Unicode"),
        (b" " * (MAX_SET_BYTES + 1), "more than 262144 bytes"),
        (jwks(*[jwk("ec-1", kid=str(each)) for each in range(MAX_KEYS + 1)]), "more than 100 keys"),
    ],
)  # fmt: skip
def test_a_set_that_is_none(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_key_set(data)


@pytest.mark.parametrize("data", [b'{"keys": []}', b'{"keys": [{}]}', jwks(jwk("rsa-1", d="AQAB"))])
def test_a_set_without_a_usable_key_is_told_from_what_is_no_set(data: bytes) -> None:
    with pytest.raises(NoSigningKey, match="can verify"):
        read_key_set(data)


def test_a_set_as_large_as_may_be() -> None:
    assert len(read_key_set(jwks(*[jwk("ec-1", kid=str(each)) for each in range(MAX_KEYS)])).keys) == MAX_KEYS


def test_has() -> None:
    keys = key_set("rsa-1")
    assert keys.has("rsa-1")
    assert keys.has("")
    assert not keys.has("rsa-2")


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=6), max_size=2)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["kty", "kid", "alg", "use", "key_ops", "n", "e", "x", "y", "crv"]), VALUES))
def test_any_member(member: dict[str, Any]) -> None:
    keys = read_key_set(json.dumps({"keys": [{**jwk("rsa-1"), **member}, jwk("ec-1", kid="good")]}).encode())
    assert keys.has("good")
