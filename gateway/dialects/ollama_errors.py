"""Ollama's words for every error: one row each, `{"error": "text"}`.

Ollama itself never sends 401, 413, 415 or 429; where it has a text for a situation, that text stands
here to the letter, for clients match on it. Engine text is never shown: it holds paths and addresses.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from engine import errors as engine
from engine.errors import EngineError
from gateway.dialects.contract import Answer
from gateway.dialects.error_headers import headers_of
from gateway.dialects.limit_texts import KILLS_WORKER, beyond_text, kills_workers_text, limit_text, quota_text
from gateway.dialects.quoting import quoted
from gateway.dialects.wire import json_answer
from policies import errors as refused
from policies.errors import Refused

BUSY = "server busy, please try again.  maximum pending requests exceeded"
"""Two spaces, as Ollama writes it."""

TextOf = Callable[[Any], str]


class Row(Struct, frozen=True):
    """Status and text; `plain` answers text/plain, as Ollama's router does for paths it does not know."""

    status: int
    text: str | TextOf
    plain: bool = False


ROWS: dict[type[Refused | EngineError], Row] = {
    refused.EdgeRejected: Row(400, "bad request"),
    refused.HostNotAllowed: Row(421, "this gateway does not answer to that host name"),
    refused.OriginNotAllowed: Row(403, "this origin is not allowed"),
    refused.AddressNotAllowed: Row(403, "forbidden"),
    refused.NotAuthenticated: Row(401, "unauthorized"),
    refused.ConflictingCredentials: Row(400, "two different credentials in one request"),
    refused.CredentialInUrl: Row(400, "send the credential in the Authorization header, never in the URL"),
    refused.LockedDown: Row(403, "an administrator has locked this gateway for your team"),
    refused.NotAuthorized: Row(403, "forbidden"),
    refused.RouteUnknown: Row(404, "404 page not found", plain=True),
    refused.MethodNotAllowed: Row(405, "405 method not allowed", plain=True),
    refused.ModelUnknown: Row(404, lambda error: f"model '{quoted(error.model)}' not found"),
    refused.BadRequest: Row(400, lambda error: str(error.text)),
    refused.BodyTooLarge: Row(413, lambda error: f"request too large: at most {error.limit_bytes} bytes"),
    refused.BodyTooSlow: Row(408, "the request body did not arrive in time"),
    refused.EncodingNotSupported: Row(415, "content encoding not supported"),
    refused.RateLimited: Row(429, limit_text),
    refused.QuotaExceeded: Row(429, quota_text),
    refused.BeyondLimit: Row(429, beyond_text),
    refused.Overloaded: Row(503, BUSY),
    refused.ModelsNotListed: Row(503, "the model is not ready, please try again"),
    refused.NoCapacity: Row(503, "the model is not available at the moment, please try again"),
    refused.RequestKillsWorker: Row(422, KILLS_WORKER),
    refused.CallerKillsWorkers: Row(429, kills_workers_text),
    refused.PolicyUnavailable: Row(503, "service unavailable, please try again"),
    refused.AuditUnavailable: Row(503, "service unavailable, please try again"),
    refused.Revoked: Row(401, "unauthorized"),
    engine.ModelNotReady: Row(503, "the model is not ready, please try again"),
    engine.WorkerDied: Row(502, "upstream failed"),
    engine.UpstreamFailed: Row(502, "upstream failed"),
    engine.ReaderTooSlow: Row(504, "the answer was not read in time"),
    engine.DeadlineExceeded: Row(504, "the time limit of the request was reached"),
    engine.PrepareFailed: Row(400, lambda error: str(error.text)),
    engine.ContextTooLong: Row(400, "the input length exceeds the context length"),
    engine.SlotTaken: Row(503, BUSY),
}


class OllamaDialect:
    """See `contract.Dialect`."""

    name = "ollama"

    def error(self, error: Refused | EngineError | None, request_id: str) -> Answer:
        """The reply for `error` before the first byte."""
        row, headers = _row(error), headers_of(error)
        if row.plain:
            body = _text(row, error, request_id).encode()
            return Answer(status=row.status, body=body, content_type="text/plain; charset=utf-8", headers=headers)
        return json_answer(error_body(error, request_id), row.status, headers)


def error_body(error: Refused | EngineError | None, request_id: str) -> dict[str, str]:
    """The error object, also the last line of a stream that broke."""
    return {"error": _text(_row(error), error, request_id)}


def _row(error: Refused | EngineError | None) -> Row:
    # A class without a row is a bug as much as None is: 500, and no word of what it holds.
    return ROWS.get(type(error), BUG) if error is not None else BUG


def _text(row: Row, error: Refused | EngineError | None, request_id: str) -> str:
    if row is BUG:
        return f"internal server error, request {quoted(request_id)}"
    return row.text if isinstance(row.text, str) else row.text(error)


BUG = Row(500, "internal server error")
