"""What a browser is told, and what it is never told."""

from gateway.dialects.ollama import ROUTES
from gateway.http.cors import origin_headers, preflight
from gateway.routes import Match, RouteTable

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


def test_what_is_no_preflight() -> None:
    match = TABLE.match("OPTIONS", "/api/chat")
    assert preflight("POST", ASKS, ORIGIN, match) is None
    assert preflight("OPTIONS", ASKS, "", match) is None
    assert preflight("OPTIONS", (), ORIGIN, match) is None
    assert preflight("OPTIONS", ASKS, ORIGIN, Match()) is None
