"""Every route x every kind of scope x two teams, from the route tables: a new route without a row here fails.

Invariants: without the route's scope a key gets 403; another team's model looks like one that does not
exist, to the byte; a list never holds another team's model; nothing about a model that is not the
caller's reaches an engine.
"""

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import json

from gateway.dialects.route import Route
from gateway.route_tables import tables_to_read
from policies.access import ACCESS, ListenerName, Scope
from policies.admitting.queue_view import QueueView
from tests.fakes import card
from tests.flow.gates import TestGate

Body = Callable[[str], Any]

MODEL_BODIES: dict[str, Body] = {
    "/api/show": lambda model: {"model": model},
    "/api/generate": lambda model: {"model": model, "prompt": "p", "stream": False},
    "/api/chat": lambda model: {"model": model, "messages": [{"role": "user", "content": "c"}], "stream": False},
    "/api/embed": lambda model: {"model": model, "input": "i"},
    "/api/embeddings": lambda model: {"model": model, "prompt": "p"},
    "/v1/chat/completions": lambda model: {"model": model, "messages": [{"role": "user", "content": "c"}]},
    "/v1/completions": lambda model: {"model": model, "prompt": "p"},
    "/v1/embeddings": lambda model: {"model": model, "input": "i"},
    "/v1/models/{model}": lambda _model: None,
}
"""Routes about one model, with a valid body for it."""
LISTS = ("/api/tags", "/api/ps", "/v1/models")
"""Routes that list models."""
ALIKE = ("/", "/health/live", "/health/ready", "/api/version", "/api/status", "/metrics")
"""Routes that say the same to every team, and nothing of any."""
OF_ONESELF = ("/corral/counts",)
"""Routes that tell a key what it had itself."""
OF_ALL = ("/queue",)
"""Routes that show all teams: for the admin listener alone."""

FOREIGN, MISSING = "secret:latest", "absent:latest"


ROWS: list[tuple[ListenerName, str, Route]] = [
    (listener, method, route)
    for listener, table in tables_to_read().items()
    for route in table.routes
    for method in route.method_names
]
SECURED = [row for row in ROWS if row[2].scope != "open"]


def named(row: tuple[ListenerName, str, Route]) -> str:
    return f"{row[0]} {row[1]} {row[2].path}"


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    gate.engine.cards = (card("m:latest", slots=2), card("secret:latest", slots=2))
    for scope in get_args(Scope):
        if scope != "open":
            gate.add_key(f"only {scope}", "one", scopes=frozenset({scope}))
            gate.add_key(f"all but {scope}", "one", scopes=frozenset(get_args(Scope)) - {scope, "open"})
    yield gate
    await gate.close()


def test_every_route_has_its_row_here() -> None:
    paths = {route.path for _, _, route in ROWS}
    assert paths == {*MODEL_BODIES, *LISTS, *ALIKE, *OF_ONESELF, *OF_ALL}
    assert len(MODEL_BODIES) + len(LISTS) + len(ALIKE) + len(OF_ONESELF) + len(OF_ALL) == len(paths)


async def test_a_key_reads_its_own_counts_and_one_for_metrics_everybodys(gate: TestGate) -> None:
    both = frozenset({"inference", "metrics"})
    gate.add_key("counting", "two", scopes=both)
    chat = {"model": "m:latest", "messages": [{"role": "user", "content": "c"}], "stream": False}
    for key in ("one", "one", "two"):
        reply, _ = await gate.send("POST", "/api/chat", chat, key=key)
        assert reply.status == 200
    told = {}
    for key in ("one", "two", "counting"):
        reply, _ = await gate.send("GET", "/corral/counts", key=key)
        told[key] = json.decode(reply.body)
    assert [(told[key]["of"], told[key]["taken"]) for key in told] == [("key", 2), ("key", 1), ("all", 3)]
    assert told["one"]["output_tokens"] == 2 * told["two"]["output_tokens"] > 0


def test_open_routes_are_these_and_no_others() -> None:
    assert {route.path for _, _, route in ROWS if route.scope == "open"} == {"/", "/health/live", "/health/ready"}


@pytest.mark.parametrize("row", SECURED, ids=named)
async def test_a_key_without_the_scope_is_refused_and_one_with_it_alone_is_served(
    gate: TestGate, row: tuple[ListenerName, str, Route]
) -> None:
    route = row[2]
    for key, expected in ((f"all but {route.scope}", 403), (f"only {route.scope}", 200), (None, 401)):
        reply, request = await ask(gate, row, "m:latest", key)
        assert reply.status == expected, (key, reply.body)
        assert request.body_read == (expected != 401 and route.body_limit_bytes > 0)


@pytest.mark.parametrize("row", [row for row in SECURED if row[2].path in MODEL_BODIES], ids=named)
async def test_another_teams_model_looks_like_none(gate: TestGate, row: tuple[ListenerName, str, Route]) -> None:
    foreign, _ = await ask(gate, row, FOREIGN, "one")
    missing, _ = await ask(gate, row, MISSING, "one")
    assert foreign.status == missing.status == 404
    assert foreign.body.replace(FOREIGN.encode(), b"NAME") == missing.body.replace(MISSING.encode(), b"NAME")
    assert told(foreign.headers) == told(missing.headers)
    assert not gate.engine.calls
    owner, _ = await ask(gate, row, FOREIGN, "two")
    assert owner.status == 200


@pytest.mark.parametrize("row", [row for row in SECURED if row[2].path in LISTS], ids=named)
async def test_a_list_holds_the_teams_own_models_only(gate: TestGate, row: tuple[ListenerName, str, Route]) -> None:
    listed, _ = await ask(gate, row, "", "one")
    assert b"secret" not in listed.body
    if row[1] != "HEAD":
        owner, _ = await ask(gate, row, "", "two")
        assert b"secret" in owner.body


@pytest.mark.parametrize("row", [row for row in ROWS if row[2].path in ALIKE and row[1] != "HEAD"], ids=named)
async def test_a_route_for_all_says_nothing_of_any_team(gate: TestGate, row: tuple[ListenerName, str, Route]) -> None:
    key = None if row[2].scope == "open" else f"only {row[2].scope}"
    reply, _ = await ask(gate, row, "", key)
    assert reply.status == 200
    assert b"secret" not in reply.body


def test_what_shows_all_teams_stands_on_the_admin_listener_for_the_scope_metrics_alone() -> None:
    assert {(listener, route.scope) for listener, _, route in ROWS if route.path in OF_ALL} == {("admin", "metrics")}


async def test_the_queue_says_the_same_to_every_holder_of_the_scope(gate: TestGate) -> None:
    gate.add_key("of another", "two", scopes=frozenset({"metrics"}))
    for model, key in (("m:latest", "one"), ("secret:latest", "two")):
        chat = {"model": model, "messages": [{"role": "user", "content": "c"}], "stream": False}
        assert (await gate.send("POST", "/api/chat", chat, key=key))[0].status == 200
    told = [await gate.send("GET", "/queue", key=key, listener="admin") for key in ("metrics", "of another")]
    assert told[0][0].body == told[1][0].body
    view = json.decode(told[0][0].body, type=QueueView)
    assert {pool.model for pool in view.pools} == {"m:latest", "secret:latest"}
    assert (view.admitted, view.waiting, view.running) == (2, 0, 0)
    public, _ = await gate.send("GET", "/queue", key="metrics")
    assert public.status == 404


@pytest.mark.parametrize(("scope", "listener"), list(itertools.product(get_args(Scope), ("public", "admin"))))
def test_no_route_stands_where_its_scope_has_no_place(scope: Scope, listener: ListenerName) -> None:
    if listener not in ACCESS[scope].listeners:
        assert not [route for place, _, route in ROWS if place == listener and route.scope == scope]


async def ask(gate: TestGate, row: tuple[ListenerName, str, Route], model: str, key: str | None) -> Any:
    listener, method, route = row
    body = MODEL_BODIES.get(route.path, lambda _model: None)(model)
    return await gate.send(method, route.path.replace("{model}", model), body, key=key, listener=listener)


def told(headers: dict[str, str]) -> dict[str, str]:
    """The headers but for what differs from one request to the next."""
    moving = ("x-request-id", "content-length", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")
    return {name: value for name, value in headers.items() if name not in moving}
