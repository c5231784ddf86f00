"""The routes of each listener: every route there is, in one place, for the gate and for the documentation."""

from collections.abc import Awaitable, Callable

from gateway.dialects import ollama, openai
from gateway.own_routes import counts_route, health_routes, metrics_route, queue_route
from gateway.routes import RouteTable
from policies.access import ListenerName
from policies.admitting.queue_view import QueueView
from policies.authorization import Grant

HANDED_ON = "/v1/chat/completions"
"""What the console's chat asks for. No request from a socket reaches it there: pages have a table of their own."""


def no_counts(_grant: Grant) -> bytes:
    """For tables that are only read."""
    raise LookupError("no gateway runs behind this table")


def route_tables(
    ready: Callable[[], bool],
    metrics_page: Callable[[], Awaitable[bytes]],
    queue: Callable[[], QueueView],
    counts: Callable[[Grant], bytes] = no_counts,
) -> dict[ListenerName, RouteTable]:
    """The table of each listener. Raises ValueError for a route that its listener may not have."""
    health = health_routes(ready)
    return {
        "public": RouteTable("public", (*ollama.ROUTES, *openai.ROUTES, *health, counts_route(counts))),
        "admin": RouteTable("admin", (*ollama.ROUTES, *health, metrics_route(metrics_page), queue_route(queue))),
        "console": RouteTable("console", tuple(route for route in openai.ROUTES if route.path == HANDED_ON)),
    }


def tables_to_read() -> dict[ListenerName, RouteTable]:
    """The same tables, for documentation and explanation; asked for a page, they have none."""

    async def no_page() -> bytes:
        raise LookupError("no gateway runs behind this table")

    def no_queue() -> QueueView:
        raise LookupError("no gateway runs behind this table")

    return route_tables(lambda: True, no_page, no_queue)
