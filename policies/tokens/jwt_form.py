"""What does a token say of itself, before anything of it is proven? Steps 2 and 3 of a token's checks.

The checks on a JWT, in this order; the numbers are those of the token's way in `policies.tokens.jwt`:
 (2) three parts of base64url, each in its one canonical spelling, at most 8 KiB                jwt_form
     No `=`, no JSON serialization, no JWE, no stray last bits (PyJWT #1209): what is signed has one spelling.
     The signature may still have two, since with ECDSA (r, n - s) holds where (r, s) does. So a cache may know a
     token by its bytes, but what is revoked is known by `jti`, subject and team alone.
 (3) a header of at most 1 KiB, no key twice, nothing but alg, typ, kid, x5t, x5t#S256            jwt_header
     A header that names or brings its own key (jku, jwk, x5u, x5c), changes what is signed (b64, zip),
     nests (cty) or demands what is not understood (crit) is refused whatever it says.

Everything read here is called `unverified_`: it may choose which key to try, and nothing else.
"""

import base64
import binascii
import re
from typing import Any

from msgspec import Struct

from policies.errors import NotAuthenticated
from policies.tokens.strict_json import read_strict_object

MAX_JWT_BYTES = 8 * 1024
"""CVE-2025-65015: what is longer is not worth decoding for a stranger."""
MAX_HEADER_BYTES = 1024
MAX_KID_CHARS = 256
HEADER_NAMES = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})

_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class UnverifiedJwt(Struct, frozen=True, kw_only=True):
    """A token taken apart. `text` is the whole token; `unverified_kid` and `unverified_typ` are "" when absent."""

    text: str
    unverified_alg: str
    unverified_kid: str
    unverified_typ: str
    unverified_payload: bytes

    def __repr__(self) -> str:
        return "UnverifiedJwt(...)"


def read_jwt(text: str, max_bytes: int = MAX_JWT_BYTES) -> UnverifiedJwt:
    """The token in `text`, taken apart. Raises NotAuthenticated, reason jwt_form or jwt_header.

    `max_bytes` is for a token that a provider itself handed over, which no stranger can make long.
    """
    match = _SHAPE.fullmatch(text) if len(text) <= max_bytes else None
    if match is None:
        raise NotAuthenticated("jwt_form", presented=True)
    header, payload, _signature = (_decode(part) for part in match.groups())
    return _read_header(text, header, payload)


def unverified_issuer(jwt: UnverifiedJwt) -> str:
    """The `iss` that the token claims. Raises NotAuthenticated, reason jwt_claims_form."""
    issuer = read_claims(jwt.unverified_payload).get("iss")
    if not isinstance(issuer, str):
        raise NotAuthenticated("jwt_claims_form", presented=True)
    return issuer


def read_claims(payload: bytes) -> dict[str, Any]:
    """The claims in a payload: proven if the payload is. Raises NotAuthenticated, reason jwt_claims_form."""
    try:
        return read_strict_object(payload)
    except ValueError:
        raise NotAuthenticated("jwt_claims_form", presented=True) from None


def _decode(part: str) -> bytes:
    """The bytes that `part` spells, if it is how they are spelt."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise NotAuthenticated("jwt_form", presented=True) from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise NotAuthenticated("jwt_form", presented=True)
    return data


def _read_header(text: str, data: bytes, payload: bytes) -> UnverifiedJwt:
    if len(data) > MAX_HEADER_BYTES:
        raise NotAuthenticated("jwt_header", presented=True)
    try:
        header = read_strict_object(data)
    except ValueError:
        raise NotAuthenticated("jwt_header", presented=True) from None
    if not header.keys() <= HEADER_NAMES or not all(isinstance(value, str) for value in header.values()):
        raise NotAuthenticated("jwt_header", presented=True)
    if "alg" not in header or len(header.get("kid", "")) > MAX_KID_CHARS:
        raise NotAuthenticated("jwt_header", presented=True)
    return UnverifiedJwt(
        text=text,
        unverified_alg=header["alg"],
        unverified_kid=header.get("kid", ""),
        unverified_typ=header.get("typ", ""),
        unverified_payload=payload,
    )
