"""The console's routes: exact paths, one last part, who sees which entry of the menu."""

from typing import Any

import pytest

from gateway.console.page import Arrival, ConsoleRoute, OpenRoute, Page, Visit
from gateway.console.table import ConsoleTable
from policies.audit_record import Actor
from policies.console.viewer import EVERY_ROLE, Role, Viewer
from policies.errors import MethodNotAllowed, RouteUnknown


async def page(_visit: Visit) -> Page:
    return Page("x.html")


async def opened(_arrival: Arrival) -> Page:
    return Page("x.html")


def route(path: str, method: Any = "GET", roles: frozenset[Role] = EVERY_ROLE, menu: str = "") -> ConsoleRoute:
    return ConsoleRoute(method=method, path=path, roles=roles, answer=page, menu=menu)


TABLE = ConsoleTable(
    (
        route("/", menu="overview.menu"),
        route("/keys", menu="keys.menu", roles=frozenset({"admin"})),
        route("/keys", "POST"),
        route("/keys/{item}"),
        route("/keys/new"),
    ),
    (OpenRoute(method="GET", path="/sign-in", answer=opened),),
)


def test_a_path_is_matched_to_the_letter_and_an_exact_one_first():
    assert TABLE.match("GET", "/keys").required().path == "/keys"
    assert TABLE.match("GET", "/keys/new").required().path == "/keys/new"
    found = TABLE.match("GET", "/keys/a%20b%2541")
    assert (found.required().path, found.item) == ("/keys/{item}", "a b%41")
    assert TABLE.match("GET", "/sign-in").opened is not None


@pytest.mark.parametrize("path", ["/keys/", "/Keys", "/keys/a/b", "//keys", "/key", "/sign-in/"])
def test_what_is_not_there_is_unknown(path):
    with pytest.raises(RouteUnknown):
        TABLE.match("GET", path).required()
    assert TABLE.match("GET", path).recorded() is None


def test_another_method_is_told():
    with pytest.raises(MethodNotAllowed) as refused:
        TABLE.match("DELETE", "/keys").required()
    assert refused.value.allowed == ("GET", "POST")


def test_records_name_the_template_and_never_the_path():
    found = TABLE.match("GET", "/keys/secret").recorded()
    assert found is not None
    assert found.required().route.path == "/keys/{item}"
    with pytest.raises(TypeError):
        found.required().route.read(None, "")


def test_the_menu_is_the_roles_and_marks_the_part():
    def entries(role: Role, path: str) -> list[tuple[str, bool]]:
        viewer = Viewer(person="a", actor=Actor(), role=role, teams=None, session="s")
        return [(entry.path, entry.here) for entry in TABLE.menu(viewer, path)]

    assert entries("admin", "/keys/x") == [("/", False), ("/keys", True)]
    assert entries("admin", "/keysx") == [("/", False), ("/keys", False)]
    assert entries("auditor", "/") == [("/", True)]


def test_no_two_routes_for_one_request_and_the_open_part_comes_last():
    with pytest.raises(ValueError, match="two routes"):
        ConsoleTable((route("/a"), route("/a")), ())
    with pytest.raises(ValueError, match="must come last"):
        ConsoleTable((route("/{item}/a"),), ())
