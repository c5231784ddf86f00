"""Every route of the console, and which one a request is for: equality on the raw path, nothing rebuilt; else none."""

from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import unquote

from msgspec import Struct

from gateway.console.page import ConsoleRoute, OpenRoute
from gateway.console.pages import audit, chat, keys, models, oidc, overview, policy, session
from gateway.console.rendering import MenuEntry
from gateway.console.sign_in import SignIn
from gateway.console.world import World
from gateway.dialects.route import Route
from gateway.routes import Found, Match
from policies.console.viewer import Viewer
from policies.errors import MethodNotAllowed, RouteUnknown

ITEM = "{item}"


class Matched(Struct, frozen=True, kw_only=True):
    """What a path and method led to. `item` is the decoded last part; neither route: no such path, or not so."""

    guarded: ConsoleRoute | None = None
    opened: OpenRoute | None = None
    item: str = ""
    allowed: tuple[str, ...] = ()

    def required(self) -> ConsoleRoute:
        """The route. Raises RouteUnknown or MethodNotAllowed; asked only for who is signed in."""
        if self.guarded is not None:
            return self.guarded
        if self.allowed:
            raise MethodNotAllowed(self.allowed)
        raise RouteUnknown("route_unknown")

    def recorded(self) -> Match | None:
        """The route as records and metrics name it."""
        route = self.guarded or self.opened
        if route is None:
            return None
        return Match(found=Found(Route((route.method,), route.path, "console", "open", 0, _never)))


class ConsoleTable:
    """All routes by path. Raises ValueError for two of one path and method."""

    def __init__(self, guarded: Iterable[ConsoleRoute], opened: Iterable[OpenRoute]) -> None:
        self._routes: dict[str, dict[str, ConsoleRoute | OpenRoute]] = {}
        self.guarded = tuple(guarded)
        routes: tuple[ConsoleRoute | OpenRoute, ...] = (*self.guarded, *opened)
        for route in routes:
            by_method = self._routes.setdefault(route.path, {})
            if route.method in by_method:
                raise ValueError(f"two routes for {route.method} {route.path}")
            if ITEM in route.path.rpartition("/")[0]:
                raise ValueError(f"route {route.path}: {ITEM} must come last")
            by_method[route.method] = route

    def match(self, method: str, path: str) -> Matched:
        """The route for a raw path that passed the edge's checks."""
        by_method, item = self._routes.get(path, {}), ""
        if not by_method:
            prefix, _, last = path.rpartition("/")
            by_method, item = (self._routes.get(f"{prefix}/{ITEM}", {}), unquote(last)) if last else ({}, "")
        route = by_method.get(method)
        if isinstance(route, OpenRoute):
            return Matched(opened=route, item=item)
        return Matched(guarded=route, item=item, allowed=tuple(sorted(by_method)))

    def menu(self, viewer: Viewer, path: str) -> tuple[MenuEntry, ...]:
        """The entries for the viewer's role, in the order of the parts."""
        return tuple(
            MenuEntry(route.menu, route.path, route.path == path or path.startswith(f"{route.path.rstrip('/')}/"))
            if route.path != "/"
            else MenuEntry(route.menu, "/", path == "/")
            for route in self.guarded
            if route.menu and viewer.role in route.roles
        )


def console_table(world: World, sign_in: SignIn) -> ConsoleTable:
    """The routes of all parts."""
    parts = (overview, audit, keys, models, policy, chat)
    guarded = [route for part in parts for route in part.routes(world)]
    opened = (*session.open_routes(world, sign_in), *oidc.open_routes(world, sign_in))
    return ConsoleTable((*guarded, *session.routes(world, sign_in)), opened)


def _never(*_: object) -> NoReturn:
    raise TypeError("a page of the console has no body of the API's")
