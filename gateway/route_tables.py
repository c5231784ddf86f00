"""The routes of each listener: every route there is, in one place, for the gate and for the documentation."""

from collections.abc import Awaitable, Callable

from gateway.dialects import ollama, openai
from gateway.own_routes import health_routes, metrics_route
from gateway.routes import RouteTable
from policies.access import ListenerName


def route_tables(
    ready: Callable[[], bool], metrics_page: Callable[[], Awaitable[bytes]]
) -> dict[ListenerName, RouteTable]:
    """The table of each listener. Raises ValueError for a route that its listener may not have."""
    health = health_routes(ready)
    return {
        "public": RouteTable("public", (*ollama.ROUTES, *openai.ROUTES, *health)),
        "admin": RouteTable("admin", (*ollama.ROUTES, *health, metrics_route(metrics_page))),
    }
