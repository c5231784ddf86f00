"""OpenAI's words for every error: `{"error": {"message", "type", "param", "code"}}`.

Types and codes are those that the official clients know; contention is 429, the lack of any capacity 503. Where the
queue, a limit or the size of the request decided, `reason` says so in our own words (docs/queue-contract.md).
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from engine import errors as engine
from engine.errors import EngineError
from gateway.dialects.contract import Answer
from gateway.dialects.error_headers import headers_of
from gateway.dialects.limit_texts import (
    KILLS_WORKER,
    beyond_text,
    kills_workers_text,
    limit_text,
    overload_text,
    quota_text,
)
from gateway.dialects.quoting import quoted
from gateway.dialects.reason_codes import reason_code
from gateway.dialects.wire import json_answer
from policies import errors as refused
from policies.errors import Refused

TextOf = Callable[[Any], str]

INVALID = "invalid_request_error"
SERVER = "server_error"
LIMIT = "rate_limit_error"
KEY_TEXT = "missing or invalid API key"


class Row(Struct, frozen=True):
    """Status, message, type and code. The code of an overload is its reason."""

    status: int
    text: str | TextOf
    type: str
    code: str | None = None


ROWS: dict[type[Refused | EngineError], Row] = {
    refused.EdgeRejected: Row(400, "bad request", INVALID),
    refused.HostNotAllowed: Row(421, "this gateway does not answer to that host name", INVALID),
    refused.OriginNotAllowed: Row(403, "this origin is not allowed", "permission_error", "forbidden"),
    refused.AddressNotAllowed: Row(403, "forbidden", "permission_error", "forbidden"),
    refused.NotAuthenticated: Row(401, KEY_TEXT, INVALID, "invalid_api_key"),
    refused.ConflictingCredentials: Row(400, "two different credentials in one request", INVALID),
    refused.CredentialInUrl: Row(400, "send the credential in the Authorization header, never in the URL", INVALID),
    refused.LockedDown: Row(
        403, "an administrator has locked this gateway for your team", "permission_error", "locked_down"
    ),
    refused.NotAuthorized: Row(403, "forbidden", "permission_error", "forbidden"),
    refused.RouteUnknown: Row(404, "unknown path", "not_found_error", "unknown_url"),
    refused.MethodNotAllowed: Row(405, "method not allowed", INVALID, "method_not_supported"),
    refused.ModelUnknown: Row(
        404, lambda error: f"model '{quoted(error.model)}' not found", "not_found_error", "model_not_found"
    ),
    refused.BadRequest: Row(400, lambda error: str(error.text), INVALID),
    refused.BodyTooLarge: Row(
        413, lambda error: f"request too large: at most {error.limit_bytes} bytes", INVALID, "request_too_large"
    ),
    refused.BodyTooSlow: Row(408, "the request body did not arrive in time", INVALID, "request_timeout"),
    refused.EncodingNotSupported: Row(415, "content encoding not supported", INVALID),
    refused.RateLimited: Row(429, limit_text, LIMIT, "rate_limit_exceeded"),
    refused.QuotaExceeded: Row(429, quota_text, "insufficient_quota", "insufficient_quota"),
    refused.BeyondLimit: Row(429, beyond_text, LIMIT, "rate_limit_exceeded"),
    refused.Overloaded: Row(429, overload_text, LIMIT, "overloaded"),
    refused.ModelsNotListed: Row(503, "the model is not ready, please try again", SERVER, "overloaded"),
    refused.NoCapacity: Row(503, "the model is not available at the moment, please try again", SERVER, "no_capacity"),
    refused.RequestKillsWorker: Row(422, KILLS_WORKER, INVALID, "request_kills_worker"),
    refused.CallerKillsWorkers: Row(429, kills_workers_text, LIMIT, "caller_kills_workers"),
    refused.PolicyUnavailable: Row(503, "service unavailable, please try again", SERVER),
    refused.AuditUnavailable: Row(503, "service unavailable, please try again", SERVER),
    refused.Revoked: Row(401, KEY_TEXT, INVALID, "invalid_api_key"),
    engine.ModelNotReady: Row(503, "the model is not ready, please try again", SERVER, "overloaded"),
    engine.WorkerDied: Row(502, "upstream failed", SERVER),
    engine.UpstreamFailed: Row(502, "upstream failed", SERVER),
    engine.ReaderTooSlow: Row(504, "the answer was not read in time", SERVER, "timeout"),
    engine.DeadlineExceeded: Row(504, "the time limit of the request was reached", SERVER, "timeout"),
    engine.PrepareFailed: Row(400, lambda error: str(error.text), INVALID),
    engine.ContextTooLong: Row(400, "the input length exceeds the context length", INVALID, "context_length_exceeded"),
    engine.SlotTaken: Row(429, "server busy, please try again", LIMIT, "overloaded"),
}


class OpenAIDialect:
    """See `contract.Dialect`."""

    name = "openai"

    def error(self, error: Refused | EngineError | None, request_id: str) -> Answer:
        """The reply for `error` before the first byte."""
        return json_answer(error_body(error, request_id), _row(error).status, headers_of(error))


def error_body(error: Refused | EngineError | None, request_id: str) -> dict[str, Any]:
    """The error object, also the last event of a stream that broke."""
    row = _row(error)
    if row is BUG:
        text = f"internal server error, request {quoted(request_id)}"
    else:
        text = row.text if isinstance(row.text, str) else row.text(error)
    reason = reason_code(error)
    told = {"message": text, "type": row.type, "param": None, "code": _code(row, error)}
    return {"error": told | ({"reason": reason} if reason else {})}


def _row(error: Refused | EngineError | None) -> Row:
    # A class without a row is a bug as much as None is: 500, and no word of what it holds.
    return ROWS.get(type(error), BUG) if error is not None else BUG


def _code(row: Row, error: Refused | EngineError | None) -> str | None:
    return (reason_code(error) or row.code) if isinstance(error, refused.Overloaded) else row.code


BUG = Row(500, "internal server error", "api_error")
