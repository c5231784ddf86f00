import json

import openai
import pytest

from engine.errors import (
    ContextTooLong,
    DeadlineExceeded,
    EngineError,
    ModelNotReady,
    PrepareFailed,
    SlotTaken,
    WorkerDied,
)
from gateway.dialects.openai_errors import ROWS, OpenAIDialect
from policies import errors as refused
from policies.errors import Refused

DIALECT = OpenAIDialect()
INVALID = "invalid_request_error"


def every(kind: type[Exception]) -> set[type[Exception]]:
    return {found for child in kind.__subclasses__() for found in {child} | every(child)}


def test_every_error_has_a_row() -> None:
    assert {
        kind for kind in every(Refused) | every(EngineError) if kind.__module__ in ("policies.errors", "engine.errors")
    } == set(ROWS)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (refused.NotAuthenticated("any", presented=False), 401, INVALID, "invalid_api_key"),
        (refused.Revoked("any"), 401, INVALID, "invalid_api_key"),
        (refused.NotAuthorized("any"), 403, "permission_error", "forbidden"),
        (refused.AddressNotAllowed("any"), 403, "permission_error", "forbidden"),
        (refused.RouteUnknown("any"), 404, "not_found_error", "unknown_url"),
        (refused.MethodNotAllowed(("GET",)), 405, INVALID, "method_not_supported"),
        (refused.ModelUnknown("any", model="x"), 404, "not_found_error", "model_not_found"),
        (refused.BadRequest("any", "text"), 400, INVALID, None),
        (refused.BodyTooLarge("any", limit_bytes=9), 413, INVALID, "request_too_large"),
        (refused.RateLimited("any", limit="rpm", retry_after_s=1), 429, "rate_limit_error", "rate_limit_exceeded"),
        (refused.QuotaExceeded("any", limit="d", retry_after_s=1), 429, "insufficient_quota", "insufficient_quota"),
        (refused.BeyondLimit("any", limit="rpm"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (refused.Overloaded("queue_full", retry_after_s=1), 429, "rate_limit_error", "queue_full"),
        (refused.Overloaded("expired_in_queue", retry_after_s=1), 429, "rate_limit_error", "expired_in_queue"),
        (refused.Overloaded("private", retry_after_s=1), 429, "rate_limit_error", "overloaded"),
        (refused.NoCapacity("any"), 503, "server_error", "no_capacity"),
        (refused.PolicyUnavailable("any"), 503, "server_error", None),
        (refused.AuditUnavailable("any"), 503, "server_error", None),
        (ModelNotReady("any"), 503, "server_error", "overloaded"),
        (WorkerDied("any"), 502, "server_error", None),
        (DeadlineExceeded("any"), 504, "server_error", "timeout"),
        (PrepareFailed("any", "text"), 400, INVALID, None),
        (ContextTooLong("any", prompt_tokens=2, limit_tokens=1), 400, INVALID, "context_length_exceeded"),
        (SlotTaken("any"), 429, "rate_limit_error", "overloaded"),
        (Refused("any"), 500, "api_error", None),
        (None, 500, "api_error", None),
    ],
)
def test_rows(error: Refused | EngineError | None, status: int, kind: str, code: str | None) -> None:
    answer = DIALECT.error(error, "r1")
    told = json.loads(answer.body)["error"]
    assert (answer.status, told["type"], told["param"], told["code"]) == (status, kind, None, code)
    assert told["message"]
    assert "any" not in told["message"]


def test_the_queue_says_its_reason() -> None:
    full = json.loads(DIALECT.error(refused.Overloaded("team_queue_full", retry_after_s=12.2), "r1").body)
    assert full == {
        "error": {
            "message": "server busy, please try again in 13 seconds",
            "type": "rate_limit_error",
            "param": None,
            "code": "team_queue_full",
            "reason": "team_queue_full",
        }
    }
    limited = json.loads(DIALECT.error(refused.RateLimited("any", limit="rpm", retry_after_s=1), "r1").body)["error"]
    assert (limited["code"], limited["reason"]) == ("rate_limit_exceeded", "rate_limited")
    assert "reason" not in json.loads(DIALECT.error(refused.BadRequest("any", "text"), "r1").body)["error"]


def test_one_body_for_every_bad_key() -> None:
    bodies = {
        DIALECT.error(error, str(number)).body
        for number, error in enumerate(
            [
                refused.NotAuthenticated("missing", presented=False),
                refused.NotAuthenticated("unknown", presented=True),
                refused.NotAuthenticated("expired", presented=True),
                refused.Revoked("revoked"),
            ]
        )
    }
    assert len(bodies) == 1


def test_the_official_client_reads_it() -> None:
    body = json.loads(DIALECT.error(refused.ModelUnknown("any", model="x"), "").body)["error"]
    error = openai.APIError("", request=None, body=body)  # type: ignore[arg-type]
    assert (error.code, error.type) == ("model_not_found", "not_found_error")


def test_a_bug_names_the_request() -> None:
    assert "r1" in json.loads(DIALECT.error(None, "r1").body)["error"]["message"]
