"""Which of an issuer's keys may prove this token? Step 6 of a token's checks, and how a key set is read.

A key set (RFC 7517) is read whole or not at all: at most 256 KiB and 100 keys, strict JSON. Within it a key
that could never prove a token here (symmetric, private, an unknown type, a broken value, an RSA key that is
too short) is left out: providers publish encryption keys beside signing keys, and one that is strange must
not stop the others. A private key is never kept, not even its public half: whoever published it lost it.

One key must be left after these, for the token's `kid` (or without one, in the whole set):
- `use` absent or `sig`; `key_ops` absent or with `verify` (Wycheproof JWS 353 to 356);
- `alg` absent or the token's algorithm;
- type and curve those of the algorithm, RSA between the issuer's minimum and 8,192 bits.
None, or more than one: NotAuthenticated, reason jwt_key.
"""

from collections.abc import Iterable
from typing import Any

import jwt as pyjwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from msgspec import Struct

from policies.errors import NotAuthenticated
from policies.tokens.strict_json import read_strict_object

MAX_SET_BYTES = 256 * 1024
MAX_KEYS = 100
MAX_RSA_BITS = 8192
"""A longer one only makes each check slower."""
MAX_NUMBER_CHARS = MAX_RSA_BITS // 6 + 2
MIN_RSA_EXPONENT = 3
MAX_RSA_EXPONENT_BITS = 64
"""A longer one makes a check of 0.03 ms one of 13; OpenSSL draws the same line, but for long keys only."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

FAMILIES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Key type and curve by algorithm. What is not here can be no algorithm of ours: no HS*, no `none`."""

_READERS: dict[str, Any] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}


class NoSigningKey(ValueError):
    """A well-formed set without a key that can verify signatures: its owner has none, or withdrew them all."""


class SigningKey(Struct, frozen=True, kw_only=True):
    """One public key and what its owner says it is for; "" and None where nothing is said."""

    kid: str
    kty: str
    crv: str
    alg: str
    use: str
    key_ops: tuple[str, ...] | None
    key: PublicKey

    def may_verify(self, algorithm: str, min_rsa_bits: int) -> bool:
        """Whether this key is for verifying signatures of `algorithm`."""
        meant = self.use in ("", "sig") and (self.key_ops is None or "verify" in self.key_ops)
        fits = FAMILIES.get(algorithm) == (self.kty, self.crv) and self.alg in ("", algorithm)
        return meant and fits and (not isinstance(self.key, RSAPublicKey) or self.key.key_size >= min_rsa_bits)


class KeySet(Struct, frozen=True):
    """The usable keys of one issuer."""

    keys: tuple[SigningKey, ...]

    def has(self, kid: str) -> bool:
        """Whether a key is called `kid`; a token without one asks for whatever there is."""
        return not kid or any(key.kid == kid for key in self.keys)


def read_key_set(data: bytes) -> KeySet:
    """The key set in `data`. Raises ValueError with a sentence that repeats nothing of it, or NoSigningKey."""
    if len(data) > MAX_SET_BYTES:
        raise ValueError(f"a key set of more than {MAX_SET_BYTES} bytes")
    members = read_strict_object(data).get("keys")
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise ValueError("a key set without a list of keys")
    if len(members) > MAX_KEYS:
        raise ValueError(f"a key set of more than {MAX_KEYS} keys")
    keys = tuple(key for key in map(_read_key, members) if key is not None)
    if not keys:
        raise NoSigningKey("a key set without a key that can verify signatures")
    return KeySet(keys)


def select_key(keys: KeySet, kid: str, algorithm: str, min_rsa_bits: int) -> PublicKey:
    """The one key for a token. Raises NotAuthenticated, reason jwt_key."""
    return _only(
        key.key for key in keys.keys if key.kid == (kid or key.kid) and key.may_verify(algorithm, min_rsa_bits)
    )


def _only(found: Iterable[PublicKey]) -> PublicKey:
    keys = tuple(found)
    if len(keys) != 1:
        raise NotAuthenticated("jwt_key", presented=True)
    return keys[0]


def _read_key(member: dict[str, Any]) -> SigningKey | None:
    """The key, None for one that could never prove a token here."""
    texts = {name: member.get(name, "") for name in ("kid", "kty", "crv", "alg", "use")}
    operations = member.get("key_ops")
    if not all(isinstance(text, str) for text in texts.values()) or not _is_operations(operations):
        return None
    key = _public_key(texts["kty"], member)
    if key is None:
        return None
    return SigningKey(**texts, key_ops=None if operations is None else tuple(operations), key=key)


def _is_operations(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NUMBER_CHARS


def _public_key(kty: str, member: dict[str, Any]) -> PublicKey | None:
    reader = _READERS.get(kty)
    numbers = [member[name] for name in ("n", "e", "x", "y") if name in member]
    if reader is None or PRIVATE_MEMBERS & member.keys() or not all(map(_is_number, numbers)):
        return None
    try:
        key = reader.from_jwk(member)
    except (pyjwt.PyJWTError, UnsupportedAlgorithm, ValueError):
        return None
    if isinstance(key, RSAPublicKey):
        exponent = key.public_numbers().e
        fits = exponent >= MIN_RSA_EXPONENT and exponent.bit_length() <= MAX_RSA_EXPONENT_BITS
        return key if fits and key.key_size <= MAX_RSA_BITS else None
    return key if isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey) else None
