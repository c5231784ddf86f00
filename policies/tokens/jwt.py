"""Step 5 for a JWT: is this token proof? Nothing is believed before its signature, nothing after it unchecked.

The checks on a JWT, in this order, stopping at the first that fails (RFC 8725, RFC 9068, RFC 8705):
 (1) one `Authorization`, at most 8 KiB                          `policies.credentials.credential`
 (2) one canonical spelling, (3) a header of known members       `policies.tokens.jwt_form`
 (4) `typ`: an access token, by the list of the issuer that      jwt_typ
     (5) finds, so that `iss` is looked up before
 (5) `iss` is configured, letter for letter; `alg` is one of its jwt_issuer, jwt_algorithm
 (6) exactly one key of that issuer fits                         `policies.tokens.jwk`, jwt_key
 (7) the signature; then exp, iat, iss, aud, sub are there       jwt_signature, jwt_claim_missing, jwt_claims_form,
     and iss, aud and the marks of an access token fit           jwt_issuer, jwt_audience, jwt_not_access_token
 (8) times, with the issuer's leeway of at most 30 s             jwt_expired, jwt_not_yet_valid, jwt_from_the_future,
                                                                 jwt_lifetime
 (9) `cnf`: the connection's own certificate                     jwt_binding
(10) whose team, which models and scopes                         `policies.tokens.claims`
(11) revoked? by jti, subject or team                            the revocations, after this

PyJWT makes the cryptographic check only, with a raw public key and one algorithm. Claims are checked here,
because PyJWT reads the machine's clock by itself and takes the last of two claims with one name.

Every refusal is the same 401 to the caller; its reason is for the log.
"""

import hmac
from collections.abc import Callable
from typing import Any

import jwt as pyjwt
from jwt.api_jws import PyJWS
from msgspec import Struct

from policies.credentials.client_certificate import ClientCertificate
from policies.errors import NotAuthenticated
from policies.tokens.issuer import Issuer
from policies.tokens.jwk import KeySet, PublicKey, select_key
from policies.tokens.jwt_form import UnverifiedJwt, read_claims

MAX_NAME_CHARS = 255
"""Of a subject (OpenID Connect Core, section 2) and, for want of a rule, of a token's id."""
MAX_TIME_S = 2.0**53
BINDING = "x5t#S256"
ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash"})

_JWS = PyJWS()

CheckUse = Callable[[dict[str, Any], Issuer], None]


class VerifiedJwt(Struct, frozen=True, kw_only=True):
    """A proven token. `jti` is "" without one, `binding` the certificate's thumbprint it demands or "".

    `issued_s` is its `iat`; `expires_s` its `exp` plus the issuer's leeway, in Unix seconds: what was
    accepted within the leeway is not cut off in the next moment.
    """

    claims: dict[str, Any]
    subject: str
    jti: str
    issued_s: float
    expires_s: float
    binding: str


def check_kind(jwt: UnverifiedJwt, issuer: Issuer) -> None:
    """Steps 4 and 5, before any key is looked for. Raises NotAuthenticated."""
    if jwt.unverified_typ.lower() not in issuer.taken_typ:
        raise _refused("jwt_typ")
    if jwt.unverified_alg not in issuer.algorithms:
        raise _refused("jwt_algorithm")


def verify_jwt(
    jwt: UnverifiedJwt, issuer: Issuer, keys: KeySet, now_s: float, check_use: CheckUse | None = None
) -> VerifiedJwt:
    """Steps 4 to 8: the proven token at `now_s` (Unix seconds). Raises NotAuthenticated.

    `check_use` stands in for the demand that it be an access token, where one of another use is asked for (the
    console's sign-in: `policies.console.oidc_id_token`); it raises NotAuthenticated.
    """
    check_kind(jwt, issuer)
    key = select_key(keys, jwt.unverified_kid, jwt.unverified_alg, issuer.min_rsa_bits)
    claims = read_claims(verify_signature(jwt, key))
    if not {"exp", "iat", "iss", "aud", issuer.subject_claim} <= claims.keys():
        raise _refused("jwt_claim_missing")
    if claims["iss"] != issuer.issuer:
        raise _refused("jwt_issuer")
    _check_audience(claims["aud"], issuer)
    (check_use or _check_access_token)(claims, issuer)
    issued_s, expires_s = _check_times(claims, issuer, now_s)
    return VerifiedJwt(
        claims=claims,
        subject=_name(claims[issuer.subject_claim]),
        jti=_jti(claims, issuer),
        issued_s=issued_s,
        expires_s=expires_s,
        binding=_binding(claims, issuer),
    )


def verify_signature(jwt: UnverifiedJwt, key: PublicKey) -> bytes:
    """Step 7: the payload that `key` signed. Raises NotAuthenticated."""
    try:
        payload = _JWS.decode(
            jwt.text,
            key,
            algorithms=[jwt.unverified_alg],
            options={"verify_signature": True, "enforce_minimum_key_length": True},
        )
    except (pyjwt.PyJWTError, ValueError, TypeError):
        raise _refused("jwt_signature") from None
    if payload != jwt.unverified_payload:
        raise _refused("jwt_signature")
    return jwt.unverified_payload


def require_binding(binding: str, certificate: ClientCertificate | None) -> None:
    """Step 9, at each request, since it depends on its connection. Raises NotAuthenticated."""
    if not binding:
        return
    shown = certificate.x5t_s256 if certificate is not None else ""
    if not hmac.compare_digest(binding.encode(), shown.encode()):
        raise _refused("jwt_binding")


def _check_audience(audience: Any, issuer: Issuer) -> None:
    """For us; and for us alone, unless the issuer may say otherwise: any other service could replay it here."""
    names = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(name, str) for name in names):
        raise _refused("jwt_claims_form")
    if len(names) > 1 and not issuer.takes_many_audiences:
        raise _refused("jwt_audience")
    if not set(names) & set(issuer.audiences):
        raise _refused("jwt_audience")


def _check_access_token(claims: dict[str, Any], issuer: Issuer) -> None:
    """No ID token: it proves a login to the client that asked for it, to nobody else."""
    marks = issuer.product.marks
    marked = any(claims.get(name) == value if value else isinstance(claims.get(name), str) for name, value in marks)
    if ID_TOKEN_CLAIMS & claims.keys() or (marks and not marked):
        raise _refused("jwt_not_access_token")


def _check_times(claims: dict[str, Any], issuer: Issuer, now_s: float) -> tuple[float, float]:
    """`iat`, and `exp` plus leeway."""
    issued_s, expires_s = _time(claims["iat"]), _time(claims["exp"])
    leeway_s = issuer.leeway_s
    if now_s >= expires_s + leeway_s:
        raise _refused("jwt_expired")
    if issued_s > now_s + leeway_s:
        raise _refused("jwt_from_the_future")
    if "nbf" in claims and _time(claims["nbf"]) > now_s + leeway_s:
        raise _refused("jwt_not_yet_valid")
    if not 0 < expires_s - issued_s <= issuer.max_lifetime_s:
        raise _refused("jwt_lifetime")
    return issued_s, expires_s + leeway_s


def _time(value: Any) -> float:
    """A NumericDate. No text, no true, nothing beyond what a float holds exactly: 1e400 would be no date either."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MAX_TIME_S < value < MAX_TIME_S:
        raise _refused("jwt_claims_form")
    return float(value)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARS or not value.isprintable():
        raise _refused("jwt_claims_form")
    return value


def _jti(claims: dict[str, Any], issuer: Issuer) -> str:
    present = [claims[name] for name in issuer.product.jti_claims if name in claims]
    return _name(present[0]) if present else ""


def _binding(claims: dict[str, Any], issuer: Issuer) -> str:
    """The thumbprint in `cnf`. Any other confirmation (DPoP's `jkt`, a key) is not understood, so never ignored."""
    if "cnf" not in claims:
        if issuer.require_binding:
            raise _refused("jwt_binding")
        return ""
    confirmation = claims["cnf"]
    if not isinstance(confirmation, dict) or confirmation.keys() != {BINDING}:
        raise _refused("jwt_binding")
    thumbprint = confirmation[BINDING]
    if not isinstance(thumbprint, str) or not thumbprint:
        raise _refused("jwt_binding")
    return thumbprint


def _refused(reason: str) -> NotAuthenticated:
    return NotAuthenticated(reason, presented=True)
