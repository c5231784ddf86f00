"""Headers that tell a client what to do about an error; the same in every dialect.

`x-should-retry` overrides the official clients' own judgement: without it an openai client repeats a
request twice that no repetition can help.
"""

import math

from engine.errors import EngineError, ModelNotReady, SlotTaken, UpstreamFailed, WorkerDied
from gateway.dialects.limit_headers import limit_headers
from gateway.dialects.reason_codes import reason_code
from policies.errors import (
    AddressNotAllowed,
    AuditUnavailable,
    BeyondLimit,
    CallerKillsWorkers,
    ConflictingCredentials,
    CredentialInUrl,
    HostNotAllowed,
    LockedDown,
    MethodNotAllowed,
    ModelsNotListed,
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
    HostNotAllowed, OriginNotAllowed, QuotaExceeded, BeyondLimit, CallerKillsWorkers,
)  # fmt: skip
NO_RETRY: Headers = (("x-should-retry", "false"),)
MAX_RETRY_AFTER_S = 366 * 86400.0
LEAST_RETRY_AFTER_S = 0.001
"""An openai client takes no wait of 0 from a server; it backs off by its own rule and would miss its booking."""
RESTART_S = 1.0
"""A worker is back in about this time; a client that waits it finds the next one."""


def headers_of(error: Refused | EngineError | None) -> Headers:
    """The headers for `error`; None is a bug of ours and has none."""
    headers = _challenge(error) + retry_after(error) + _reason(error)
    if isinstance(error, RateLimited) and error.standing is not None:
        headers += limit_headers((error.standing,))
    if isinstance(error, MethodNotAllowed):
        headers += (("Allow", ", ".join(error.allowed)),)
    return headers + (NO_RETRY if _hopeless(error) else ())


def _reason(error: Refused | EngineError | None) -> Headers:
    code = reason_code(error)
    return (("X-Admission-Reason", code),) if code else ()


def _hopeless(error: Refused | EngineError | None) -> bool:
    """True where no repetition can help: also for what the queue has no moment for within its clients' patience."""
    return isinstance(error, HOPELESS) or (isinstance(error, Overloaded) and error.retry_after_s is None)


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


def retry_after(error: Exception | None) -> Headers:
    """When to come again, in seconds and milliseconds, rounded up: who comes before the moment booked for him loses it.

    A booking lapses only some seconds after its moment, so that whoever reads the whole seconds still has it.
    """
    match error:
        case Overloaded(retry_after_s=None) | NoCapacity(retry_after_s=None):
            return ()
        case RateLimited() | QuotaExceeded() | Overloaded() | NoCapacity() | CallerKillsWorkers():
            wait_s = min(max(error.retry_after_s or 0.0, LEAST_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
        case (
            WorkerDied()
            | UpstreamFailed()
            | ModelNotReady()
            | ModelsNotListed()
            | SlotTaken()
            | PolicyUnavailable()
            | AuditUnavailable()
        ):
            wait_s = RESTART_S
        case _:
            return ()
    return (("Retry-After", str(math.ceil(wait_s))), ("retry-after-ms", str(math.ceil(wait_s * 1000))))
