"""Which route a request is for: equality on the raw path, nothing rebuilt, default none.

The decision who may call is made on the `Route` found here, never on a path string afterwards
(LiteLLM CVE-2026-49468, vLLM CVE-2026-48746: routes taken from a URL that the Host header shaped).
An unknown path still has a dialect, so that a caller without a key reads the same 401 there as elsewhere.
"""

from urllib.parse import unquote

from msgspec import Struct

from gateway.dialects.route import Route
from policies.access import ACCESS, ListenerName
from policies.errors import MethodNotAllowed, RouteUnknown

MODEL_SEGMENT = "{model}"


class Found(Struct, frozen=True):
    """A route, and the model that its path's last segment names (percent-decoded once)."""

    route: Route
    model: str = ""


class Match(Struct, frozen=True, kw_only=True):
    """What a path and method led to. `found` None: no such path, or not by this method (`allowed`)."""

    found: Found | None = None
    allowed: tuple[str, ...] = ()

    def opened(self) -> Found | None:
        """The route when it needs no key."""
        return self.found if self.found is not None and self.found.route.scope == "open" else None

    def required(self) -> Found:
        """The route. Raises RouteUnknown or MethodNotAllowed; asked only for known principals."""
        if self.found is not None:
            return self.found
        if self.allowed:
            raise MethodNotAllowed(self.allowed)
        raise RouteUnknown("route_unknown")


class RouteTable:
    """All routes of one listener. Raises ValueError for a route whose scope has no place there."""

    def __init__(self, listener: ListenerName, routes: tuple[Route, ...]) -> None:
        for route in routes:
            if listener not in ACCESS[route.scope].listeners:
                raise ValueError(
                    f"route {route.path}: the scope {route.scope!r} has no place on the {listener} listener"
                )
        self._exact: dict[str, list[Route]] = {}
        self._by_model: dict[str, list[Route]] = {}
        for route in routes:
            prefix, marker, rest = route.path.partition(MODEL_SEGMENT)
            if rest:
                raise ValueError(f"route {route.path}: {MODEL_SEGMENT} must come last")
            (self._by_model if marker else self._exact).setdefault(prefix, []).append(route)
        self.routes = routes

    def match(self, method: str, path: str) -> Match:
        """The route for a raw path (no query) that passed the edge's checks."""
        candidates, model = self._exact.get(path, []), ""
        if not candidates:
            prefix, _, model = path.rpartition("/")
            candidates = self._by_model.get(f"{prefix}/", []) if model else []
        for route in candidates:
            if method in route.method_names:
                return Match(found=Found(route, unquote(model)))
        allowed = tuple(sorted({name for route in candidates for name in route.method_names}))
        return Match(allowed=allowed)


def dialect_of(target: str) -> str:
    """The dialect to answer in, for any path or raw target; who asks is none of its business."""
    return "openai" if target == "/v1" or target.startswith("/v1/") else "ollama"
