"""What a browser is told, and what it is never told."""

from gateway.dialects.ollama import ROUTES
from gateway.dialects.queue_headers import queue_headers
from gateway.http.cors import origin_headers, preflight
from gateway.routes import Match, RouteTable
from policies.admitting.effects import Forecast
from policies.queue_wish import DEADLINE, EVENTS, FIRST_TOKEN, PRIORITY

ORIGIN = "https://chat.example"
ASKS = ((b"Access-Control-Request-Method", b"POST"),)
TABLE = RouteTable("public", ROUTES)


def test_an_answer_names_the_one_origin() -> None:
    assert origin_headers("") == ()
    headers = dict(origin_headers(ORIGIN))
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in headers


def test_a_preflight_is_told_the_methods_of_its_path() -> None:
    answer = preflight("OPTIONS", ASKS, ORIGIN, TABLE.match("OPTIONS", "/api/chat"))
    assert answer is not None
    assert (answer.status, answer.body) == (204, b"")
    headers = dict(answer.headers)
    assert headers["Access-Control-Allow-Methods"] == "POST"
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    assert "*" not in "".join(headers.values())


def test_a_page_may_speak_with_the_queue() -> None:
    answer = preflight("OPTIONS", ASKS, ORIGIN, TABLE.match("OPTIONS", "/api/chat"))
    assert answer is not None
    allowed = dict(answer.headers)["Access-Control-Allow-Headers"].split(", ")
    assert {FIRST_TOKEN, DEADLINE, PRIORITY, EVENTS} <= set(allowed)
    exposed = dict(origin_headers(ORIGIN))["Access-Control-Expose-Headers"].split(", ")
    assert {name for name, _ in queue_headers("queued", Forecast(), 0.0)} | {"X-Admission-Reason"} <= set(exposed)


def test_what_is_no_preflight() -> None:
    match = TABLE.match("OPTIONS", "/api/chat")
    assert preflight("POST", ASKS, ORIGIN, match) is None
    assert preflight("OPTIONS", ASKS, "", match) is None
    assert preflight("OPTIONS", (), ORIGIN, match) is None
    assert preflight("OPTIONS", ASKS, ORIGIN, Match()) is None
