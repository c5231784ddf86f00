"""Headers that tell a client what to do about an error; the same in every dialect.

`x-should-retry` overrides the official clients' own judgement: without it an openai client repeats a
request twice that no repetition can help.
"""

import math

from engine.errors import EngineError, ModelNotReady, SlotTaken, UpstreamFailed, WorkerDied
from gateway.dialects.limit_headers import limit_headers
from policies.errors import (
    AddressNotAllowed,
    AuditUnavailable,
    BeyondLimit,
    ConflictingCredentials,
    CredentialInUrl,
    HostNotAllowed,
    LockedDown,
    MethodNotAllowed,
    NoCapacity,
    NotAuthenticated,
    NotAuthorized,
    OriginNotAllowed,
    Overloaded,
    PolicyUnavailable,
    QuotaExceeded,
    RateLimited,
    Refused,
    Revoked,
)

Headers = tuple[tuple[str, str], ...]

REALM = 'Bearer realm="corral"'
HOPELESS = (
    NotAuthenticated, Revoked, ConflictingCredentials, CredentialInUrl, NotAuthorized, LockedDown, AddressNotAllowed,
    HostNotAllowed, OriginNotAllowed, QuotaExceeded, BeyondLimit,
)  # fmt: skip
NO_RETRY: Headers = (("x-should-retry", "false"),)
MAX_RETRY_AFTER_S = 366 * 86400.0
RESTART_S = 1.0
"""A worker is back in about this time; a client that waits it finds the next one."""


def headers_of(error: Refused | EngineError | None) -> Headers:
    """The headers for `error`; None is a bug of ours and has none."""
    headers = _challenge(error) + _retry_after(error)
    if isinstance(error, RateLimited) and error.standing is not None:
        headers += limit_headers((error.standing,))
    if isinstance(error, MethodNotAllowed):
        headers += (("Allow", ", ".join(error.allowed)),)
    return headers + (NO_RETRY if isinstance(error, HOPELESS) else ())


def _challenge(error: Refused | EngineError | None) -> Headers:
    """RFC 6750 section 3.1: `error=` only when there was a credential to be wrong."""
    match error:
        case NotAuthenticated(presented=False):
            challenge = REALM
        case NotAuthenticated() | Revoked():
            challenge = f'{REALM}, error="invalid_token"'
        case ConflictingCredentials() | CredentialInUrl():
            challenge = f'{REALM}, error="invalid_request"'
        case NotAuthorized():
            challenge = f'{REALM}, error="insufficient_scope"'
        case _:
            return ()
    return (("WWW-Authenticate", challenge),)


def _retry_after(error: Refused | EngineError | None) -> Headers:
    """Whole seconds, rounded up so that nobody comes back too early, and the milliseconds."""
    match error:
        case RateLimited() | QuotaExceeded() | Overloaded() | NoCapacity():
            wait_s = min(max(error.retry_after_s, 0.0), MAX_RETRY_AFTER_S)
        case WorkerDied() | UpstreamFailed() | ModelNotReady() | SlotTaken() | PolicyUnavailable() | AuditUnavailable():
            wait_s = RESTART_S
        case _:
            return ()
    return (("Retry-After", str(math.ceil(wait_s))), ("retry-after-ms", str(math.ceil(wait_s * 1000))))
