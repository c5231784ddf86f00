"""What somebody at a browser reads when a request is refused: a status and one line, never the private reason.

A refusal tells no more than its kind. The first row that fits decides; what fits none is a bug and says so.
"""

from math import ceil

from engine.errors import EngineError
from gateway.admin.act import ActRefused
from gateway.console.page import Turned
from policies.errors import (
    AddressNotAllowed,
    AuditUnavailable,
    BadRequest,
    BodyTooLarge,
    BodyTooSlow,
    EdgeRejected,
    EncodingNotSupported,
    LockedDown,
    MethodNotAllowed,
    NotAuthenticated,
    NotAuthorized,
    OriginNotAllowed,
    PolicyUnavailable,
    RateLimited,
    Refused,
    RouteUnknown,
)
from policies.worded import Value, line_of

ROWS: tuple[tuple[type[Exception], int, str], ...] = (
    (AddressNotAllowed, 403, "frame.why_address"),
    (OriginNotAllowed, 403, "frame.why_origin"),
    (RouteUnknown, 404, "frame.why_not_found"),
    (MethodNotAllowed, 405, "frame.why_method"),
    (BodyTooLarge, 413, "frame.why_too_large"),
    (BodyTooSlow, 400, "frame.why_body"),
    (BadRequest, 400, "frame.why_body"),
    (EncodingNotSupported, 400, "frame.why_body"),
    (RateLimited, 429, "frame.why_guessing"),
    (AuditUnavailable, 503, "frame.why_unrecorded"),
    (PolicyUnavailable, 503, "frame.why_away"),
    (NotAuthorized, 403, "frame.why_denied"),
    (LockedDown, 403, "frame.why_denied"),
    (NotAuthenticated, 403, "frame.why_denied"),
    (EdgeRejected, 400, "frame.why_unfit"),
    (Refused, 403, "frame.why_denied"),
    (EngineError, 503, "frame.why_away"),
)
"""Error -> status and words."""
BY_REASON = {"csrf_token_wrong": "frame.why_form", "console_role_none": "frame.why_role_none"}
"""Where the person can do something about it."""


class Told(Exception):
    """A refusal that was recorded already; `cause` is it."""

    def __init__(self, cause: Refused) -> None:
        super().__init__(cause.reason)
        self.cause = cause


def told(error: Exception | None) -> tuple[int, str, dict[str, Value]]:
    """Status, the key of the line, and what fills it. An act's own line comes under the key ""."""
    if isinstance(error, Turned):
        return error.status, error.word_key, dict(error.details)
    if isinstance(error, ActRefused):
        return 409, "", {"line": line_of(error)}
    for kind, status, key in ROWS:
        if isinstance(error, kind):
            return status, BY_REASON.get(getattr(error, "reason", ""), key), _values(error)
    return 500, "frame.why_bug", {}


def _values(error: Exception | None) -> dict[str, Value]:
    if isinstance(error, BodyTooLarge):
        return {"limit": error.limit_bytes}
    if isinstance(error, RateLimited):
        return {"seconds": max(1, ceil(error.retry_after_s))}  # as its Retry-After
    return {}
