"""Verifies a JWT as the gateway would, but without the network, for `corral policy explain --jwt`.

The checks are those of `policies.tokens.jwt` and `policies.tokens.claims`, in their order. Keys come from a file
that the issuer's entry names; where they come over the network the answer is that it cannot be told, and where the
checks stopped. Revocations are the running gateway's and are not asked.
"""

from collections.abc import Mapping
from pathlib import Path

from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated
from policies.tokens.claims import principal_of
from policies.tokens.issuer import Issuer
from policies.tokens.jwk import KeySet, read_key_set
from policies.tokens.jwt import check_kind, verify_jwt
from policies.tokens.jwt_form import read_jwt, unverified_issuer


class CannotTell(Exception):
    """What would happen depends on something that is not at hand; the message says on what, and at which check."""


def verify_offline(text: str, issuers: Mapping[str, Issuer], home: Path, now_s: float) -> Principal:
    """The principal behind the token `text` at `now_s` (Unix seconds).

    Raises NotAuthenticated or NotAuthorized as the gateway would, or CannotTell.
    """
    jwt = read_jwt(text)
    name = unverified_issuer(jwt)
    issuer = next((each for each in issuers.values() if each.issuer == name), None)
    if issuer is None:
        raise NotAuthenticated("jwt_issuer", presented=True)
    check_kind(jwt, issuer)
    verified = verify_jwt(jwt, issuer, _keys(issuer, home), now_s)
    if verified.binding:
        raise CannotTell(
            "check 9 (jwt_binding): the token is bound to a client certificate; checks 1 to 8 hold, so it is taken "
            "over a connection that shows that certificate"
        )
    return principal_of(verified, issuer)


def _keys(issuer: Issuer, home: Path) -> KeySet:
    if issuer.jwks_file is None:
        raise CannotTell(
            "check 6 (jwt_key): this issuer's keys come over the network, which this command does not use; "
            "checks 1 to 5 hold"
        )
    path = home / issuer.jwks_file
    try:
        return read_key_set(path.read_bytes())
    except OSError as fault:
        raise CannotTell(f"check 6 (jwt_key): {path} cannot be read: {fault.strerror}") from None
    except ValueError as fault:
        raise CannotTell(f"check 6 (jwt_key): {path}: {fault}") from None
