"""An identity provider for tests: real keys, made once a session, and tokens signed with them."""

import asyncio
import base64
import functools
import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.api_jws import PyJWS

from policies.tokens.issuer import Issuer
from policies.tokens.jwk import KeySet, read_key_set

NOW_S = 1_700_001_000.0
"""What a fresh ManualClock says."""
ISS = "https://id.example/realms/corp"
AUD = "corral"


@functools.cache
def private_key(name: str) -> Any:
    """A key pair; the name's first part says which: `rsa`, `rsa1024`, `rsa3072`, `ec`, `ec384`, `ec521`, `ed`."""
    match name.partition("-")[0]:
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
        case "ec384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ec521":
            return ec.generate_private_key(ec.SECP521R1())
        case "ed":
            return ed25519.Ed25519PrivateKey.generate()
        case size:
            return rsa.generate_private_key(public_exponent=65537, key_size=int(size.removeprefix("rsa") or 2048))


def jwk(name: str, **members: Any) -> dict[str, Any]:
    """The public half as a JWK called `name`; a member given as None is left out."""
    public = private_key(name).public_key()
    if isinstance(public, rsa.RSAPublicKey):
        found = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        found = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        found = OKPAlgorithm.to_jwk(public, as_dict=True)
    found.pop("key_ops", None)
    merged = {**found, "kid": name, "use": "sig", **members}
    return {key: value for key, value in merged.items() if value is not None}


def jwks(*members: str | dict[str, Any]) -> bytes:
    """A key set as its publisher would send it."""
    return json.dumps({"keys": [jwk(each) if isinstance(each, str) else each for each in members]}).encode()


def key_set(*members: str | dict[str, Any]) -> KeySet:
    return read_key_set(jwks(*members))


def issuer(**values: Any) -> Issuer:
    """An issuer that gives everyone team `one`; a value given replaces a default of these."""
    defaults = {"issuer": ISS, "audiences": (AUD,), "jwks_url": "https://id.example/keys", "team": "one"}
    merged = {**defaults, **values}
    if merged.get("jwks_file") or merged.get("discovery"):
        merged.pop("jwks_url")
    return Issuer(**merged)


def claims(now_s: float = NOW_S, **values: Any) -> dict[str, Any]:
    """Claims of a good token, an hour long; a claim given as `...` is left out."""
    now = int(now_s)
    good = {"iss": ISS, "aud": AUD, "sub": "ada", "iat": now - 10, "exp": now + 3590, "jti": "t1"}
    merged = {**good, **values}
    return {name: value for name, value in merged.items() if value is not ...}


def b64(data: bytes | str) -> str:
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def header(name: str = "rsa-1", alg: str = "RS256", **members: Any) -> dict[str, Any]:
    """A good header; a member given as `...` is left out."""
    merged = {"alg": alg, "typ": "at+jwt", "kid": name, **members}
    return {key: value for key, value in merged.items() if value is not ...}


def sign(
    payload: dict[str, Any] | bytes | None = None, head: dict[str, Any] | bytes | None = None, name: str = "rsa-1"
) -> str:
    """A token over exactly these bytes or objects, signed with the key `name` by its own algorithm."""
    head = header(name) if head is None else head
    body = claims() if payload is None else payload
    head_bytes = head if isinstance(head, bytes) else json.dumps(head).encode()
    body_bytes = body if isinstance(body, bytes) else json.dumps(body).encode()
    signing = f"{b64(head_bytes)}.{b64(body_bytes)}"
    alg = head.get("alg", "RS256") if isinstance(head, dict) else "RS256"
    algorithm = PyJWS().get_algorithm_by_name(alg if isinstance(alg, str) and alg in SIGNS else "RS256")
    return f"{signing}.{b64(algorithm.sign(signing.encode(), private_key(name)))}"


SIGNS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})


def pem(name: str) -> bytes:
    """The public half as PEM: what an attacker has, and signs HS256 with."""
    return bytes(
        private_key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


class FakeFetch:
    """Key sets in memory: answers `keys`, or raises `fault`; `hold` holds every fetch until it is set."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys
        self.fault: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.count = 0
        self.closed = False

    async def fetch(self) -> KeySet:
        self.count += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.fault is not None:
            raise self.fault
        return self.keys

    async def close(self) -> None:
        self.closed = True
