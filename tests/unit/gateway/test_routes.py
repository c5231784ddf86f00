"""Routes: equality on the raw path, the dialect also of what is unknown."""

import pytest

from gateway.dialects import ollama, openai
from gateway.dialects.contract import Answer
from gateway.dialects.route import Route
from gateway.routes import RouteTable, dialect_of
from policies.access import Scope
from policies.errors import MethodNotAllowed, RouteUnknown

TABLE = RouteTable("public", (*ollama.ROUTES, *openai.ROUTES))


@pytest.mark.parametrize("route", TABLE.routes, ids=lambda route: route.path)
def test_every_route_finds_itself(route: Route) -> None:
    path = route.path.replace("{model}", "a%2Fb%3Alatest")
    for method in route.method_names:
        found = TABLE.match(method, path).required()
        assert found.route is route
        assert found.model == ("a/b:latest" if "{model}" in route.path else "")


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1", "openai"),
        ("/v1/nothing", "openai"),
        ("/v10", "ollama"),
        ("/api/nothing", "ollama"),
        ("/API/tags", "ollama"),
    ],
)
def test_unknown_paths_have_a_dialect_and_no_route(path: str, dialect: str) -> None:
    match = TABLE.match("GET", path)
    assert (dialect_of(path), match.found) == (dialect, None)
    with pytest.raises(RouteUnknown):
        match.required()


def test_a_wrong_method_is_told_the_right_ones() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        TABLE.match("DELETE", "/api/tags").required()
    assert caught.value.allowed == ("GET", "HEAD")


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/models/a/b", "/api/tags/"])
def test_a_segment_more_or_less_is_another_path(path: str) -> None:
    assert TABLE.match("GET", path).found is None


def test_the_model_must_come_last() -> None:
    answer = Answer(status=200, body=b"")
    with pytest.raises(ValueError, match="must come last"):
        RouteTable("public", (Route(("GET",), "/a/{model}/b", "ollama", "models", 0, lambda _body, _model: answer),))


@pytest.mark.parametrize("scope", ["metrics", "admin"])
def test_what_belongs_on_the_admin_listener_cannot_stand_on_another(scope: Scope) -> None:
    route = Route(("GET",), "/a", "ollama", scope, 0, lambda _body, _model: Answer(status=200, body=b""))
    assert RouteTable("admin", (route,)).match("GET", "/a").required().route is route
    with pytest.raises(ValueError, match="no place on the public listener"):
        RouteTable("public", (route,))
