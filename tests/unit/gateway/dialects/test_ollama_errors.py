import json

import pytest

from engine.errors import ContextTooLong, DeadlineExceeded, EngineError, PrepareFailed, WorkerDied
from gateway.dialects.ollama_errors import ROWS, OllamaDialect, error_body
from policies import errors as refused
from policies.errors import Refused

DIALECT = OllamaDialect()


def every(kind: type[Exception]) -> set[type[Exception]]:
    return {found for child in kind.__subclasses__() for found in {child} | every(child)}


def test_every_error_has_a_row() -> None:
    assert {
        kind for kind in every(Refused) | every(EngineError) if kind.__module__ in ("policies.errors", "engine.errors")
    } == set(ROWS)


def words(error: Refused | EngineError | None) -> tuple[int, object]:
    answer = DIALECT.error(error, "r1")
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (refused.NotAuthenticated("any", presented=False), 401, "unauthorized"),
        (refused.NotAuthenticated("other", presented=True), 401, "unauthorized"),
        (refused.Revoked("any"), 401, "unauthorized"),
        (refused.NotAuthorized("any"), 403, "forbidden"),
        (refused.AddressNotAllowed("any"), 403, "forbidden"),
        (refused.ConflictingCredentials("any"), 400, "two different credentials in one request"),
        (refused.EdgeRejected("any"), 400, "bad request"),
        (refused.ModelUnknown("any", model="x"), 404, "model 'x' not found"),
        (refused.BadRequest("any", "missing request body"), 400, "missing request body"),
        (refused.BodyTooLarge("any", limit_bytes=9), 413, "request too large: at most 9 bytes"),
        (refused.BodyTooSlow("any"), 408, "the request body did not arrive in time"),
        (refused.EncodingNotSupported("any"), 415, "content encoding not supported"),
        (
            refused.RateLimited("any", limit="rpm", retry_after_s=1),
            429,
            "rate limit reached: rpm; try again in 1 second",
        ),
        (
            refused.QuotaExceeded("any", limit="day", retry_after_s=1),
            429,
            "quota used up: day; it begins anew in 1 second",
        ),
        (
            refused.BeyondLimit("any", limit="rpm"),
            429,
            "the request is larger than the limit allows at all: rpm; shorten the prompt or the answer asked for",
        ),
        (
            refused.Overloaded("queue_full", retry_after_s=1),
            503,
            "server busy, please try again.  maximum pending requests exceeded",
        ),
        (ContextTooLong("any", prompt_tokens=9, limit_tokens=8), 400, "the input length exceeds the context length"),
        (PrepareFailed("any", "the grammar is too large"), 400, "the grammar is too large"),
        (WorkerDied("/secret/path"), 502, "upstream failed"),
        (DeadlineExceeded("any"), 504, "the time limit of the request was reached"),
        (None, 500, "internal server error, request r1"),
    ],
)
def test_words(error: Refused | EngineError | None, status: int, text: str) -> None:
    assert words(error) == (status, {"error": text})
    assert error_body(error, "r1") == {"error": text}


def test_the_router_speaks_plain_text() -> None:
    unknown, method = (
        DIALECT.error(refused.RouteUnknown("r"), ""),
        DIALECT.error(refused.MethodNotAllowed(("GET",)), ""),
    )
    assert (unknown.status, unknown.body) == (404, b"404 page not found")
    assert (method.status, method.body, method.headers) == (405, b"405 method not allowed", (("Allow", "GET"),))
    assert unknown.content_type == "text/plain; charset=utf-8"


def test_a_class_without_a_row_is_a_bug_and_tells_nothing() -> None:
    assert words(Refused("secret")) == (500, {"error": "internal server error, request r1"})


def test_names_are_cut_and_cleaned() -> None:
    _, body = words(refused.ModelUnknown("any", model="a\r\nb" + "x" * 1000))
    assert body == {"error": "model 'ab" + "x" * 78 + "' not found"}
