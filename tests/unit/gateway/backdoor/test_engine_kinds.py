"""Which routes are asked: those that work, never one that only lists."""

from gateway.backdoor.engine_kinds import PORTS, ROUTES, routes_of


def test_a_certain_kind_is_asked_for_its_own_routes() -> None:
    assert routes_of("vllm", certain=True) == ROUTES["vllm"]
    assert "/invocations" in routes_of("vllm", certain=True)


def test_a_likely_kind_is_asked_for_all_its_own_first() -> None:
    routes = routes_of("llama-server", certain=False)
    assert routes[: len(ROUTES["llama-server"])] == ROUTES["llama-server"]
    assert set(routes) == {route for each in ROUTES.values() for route in each}
    assert len(routes) == len(set(routes))


def test_no_route_lists_loads_or_deletes() -> None:
    harmful = ("models", "tags", "health", "pull", "delete", "create", "unload", "stop", "pause", "sleep")
    assert not [route for each in ROUTES.values() for route in each if any(word in route for word in harmful)]


def test_every_kind_has_a_usual_port_but_one_that_shares() -> None:
    assert set(ROUTES) - set(PORTS.values()) == {"llama-cpp-python"}
