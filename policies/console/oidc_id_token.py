"""Whom does this ID token prove, to us and in answer to this sign-in? OpenID Connect Core 3.1.3.7.

The token comes from the token endpoint over TLS, yet its signature is checked all the same. The numbers go on from
`policies.console.oidc_login`; each check is made in this order:
 (8) its form, header, algorithm (asymmetric only), key and signature; then `iss` is the     jwt_...
     provider and `aud` is this client alone, as for any token: `policies.tokens.jwt`
 (9) `azp`, where it stands, is this client                                                  oidc_client
(10) it says of itself what the product's ID tokens say: no access token in its place        oidc_not_id_token
(11) `nonce` is this sign-in's: no token of another one                                      oidc_nonce
(12) `at_hash` and `c_hash`, where they stand, are those of what came with it                oidc_hash
(13) exp, nbf, iat and lifetime, as for any token; and `iat` at most                         jwt_..., oidc_old
     ten minutes before the sign-in began (Entra dates back by five)
(14) a subject, a name to show and groups that can be read                                   jwt_...
"""

import base64
import hashlib
import hmac
from typing import Any

from msgspec import Struct

from policies.console.oidc_login import Login, Redeemed
from policies.console.oidc_preset import OidcPreset
from policies.errors import NotAuthenticated
from policies.tokens.claims import groups_in
from policies.tokens.issuer import Issuer
from policies.tokens.jwk import KeySet
from policies.tokens.jwt import VerifiedJwt, verify_jwt
from policies.tokens.jwt_form import UnverifiedJwt

MAX_ID_TOKEN_BYTES = 64 * 1024
"""Two hundred groups by their ids are ten thousand; it came from the provider itself, at most once a sign-in."""
MAX_BEFORE_S = 600.0
MAX_NAME_CHARS = 255
ID_TOKEN_TYPES = ("jwt", "")
"""Header types of ID tokens: Okta's have none."""

_DIGESTS = {"256": "sha256", "384": "sha384", "512": "sha512", "DSA": "sha512"}
"""The digest of `at_hash` by the last three letters of `alg`; Ed25519 signs with SHA-512."""


class Client(Struct, frozen=True, kw_only=True):
    """What config.yaml says of the console at its provider. `issuer` is as for any token, this client its audience."""

    issuer: Issuer
    client_id: str
    name_claim: str
    groups_claim: str
    scopes: tuple[str, ...]
    product: OidcPreset


class ProvenPerson(Struct, frozen=True, kw_only=True):
    """Whom a sign-in proved. `name` is for people to read and decides nothing; `issued_s` is the token's `iat`."""

    issuer: str
    subject: str
    name: str
    groups: frozenset[str]
    issued_s: float


class Answered(Struct, frozen=True, kw_only=True):
    """The sign-in that a token must answer: its secrets, the code and tokens of its way back, its beginning."""

    login: Login
    code: str
    redeemed: Redeemed
    begun_s: float


def verify_id_token(jwt: UnverifiedJwt, client: Client, answered: Answered, keys: KeySet, now_s: float) -> ProvenPerson:
    """Checks 8 to 14 at `now_s` (Unix seconds). Raises NotAuthenticated, or NotAuthorized for groups pointed to."""

    def check_use(claims: dict[str, Any], _issuer: Issuer) -> None:
        if claims.get("azp", client.client_id) != client.client_id:
            raise _refused("oidc_client")
        if any(claims.get(name) != value for name, value in client.product.marks):
            raise _refused("oidc_not_id_token")
        if not _same(claims.get("nonce"), answered.login.nonce):
            raise _refused("oidc_nonce")
        _check_hashes(claims, jwt.unverified_alg, answered)

    verified = verify_jwt(jwt, client.issuer, keys, now_s, check_use)
    if answered.begun_s - verified.issued_s > MAX_BEFORE_S:
        raise _refused("oidc_old")
    return _person(verified, client)


def _check_hashes(claims: dict[str, Any], algorithm: str, answered: Answered) -> None:
    """The left half of each digest (OpenID Connect Core 3.1.3.6, 3.3.2.11), by the algorithm of the proven header."""
    for name, text in (("at_hash", answered.redeemed.access_token), ("c_hash", answered.code)):
        if name in claims and not _same(claims[name], _half_digest(text, algorithm)):
            raise _refused("oidc_hash")


def _half_digest(text: str, algorithm: str) -> str:
    digest = hashlib.new(_DIGESTS[algorithm[-3:]], text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _same(shown: Any, expected: str) -> bool:
    return isinstance(shown, str) and hmac.compare_digest(shown.encode(), expected.encode())


def _person(verified: VerifiedJwt, client: Client) -> ProvenPerson:
    return ProvenPerson(
        issuer=client.issuer.issuer,
        subject=verified.subject,
        name=_shown_name(verified.claims.get(client.name_claim)) or verified.subject,
        groups=groups_in(verified.claims, client.groups_claim),
        issued_s=verified.issued_s,
    )


def _shown_name(name: Any) -> str:
    """The name, "" for one that cannot be shown: then the subject stands in its place."""
    fits = isinstance(name, str) and len(name) <= MAX_NAME_CHARS and name.isprintable()
    return name.strip() if fits else ""


def _refused(reason: str) -> NotAuthenticated:
    return NotAuthenticated(reason, presented=True)
