"""The pages of the part "keys" of the console: keys and their whole life, teams, and what is shut or widened."""

from gateway.console.keys.access_pages import AccessPages
from gateway.console.keys.key_forms import KeyForms
from gateway.console.keys.key_pages import KeyPages
from gateway.console.keys.sent_forms import SentForms
from gateway.console.keys.team_pages import TeamPages
from gateway.console.page import ConsoleRoute
from gateway.console.world import World
from policies.console.viewer import EVERY_ROLE, Role

KEEPERS: frozenset[Role] = frozenset({"admin", "team-lead"})
ADMINS: frozenset[Role] = frozenset({"admin"})


def routes(world: World) -> tuple[ConsoleRoute, ...]:
    """The part's pages."""
    return (*_key_routes(world), *_team_routes(world))


def _key_routes(world: World) -> tuple[ConsoleRoute, ...]:
    pages = KeyPages(world)
    forms = KeyForms(world, pages, SentForms())
    return (
        ConsoleRoute(method="GET", path="/keys", roles=EVERY_ROLE, answer=pages.listing, menu="keys.menu"),
        ConsoleRoute(method="GET", path="/keys/new", roles=KEEPERS, answer=forms.new),
        ConsoleRoute(method="POST", path="/keys/new", roles=KEEPERS, answer=forms.create),
        ConsoleRoute(method="GET", path="/keys/{item}", roles=EVERY_ROLE, answer=pages.shown),
        ConsoleRoute(method="POST", path="/keys/rotate/{item}", roles=KEEPERS, answer=forms.rotate),
        ConsoleRoute(method="POST", path="/keys/review/{item}", roles=KEEPERS, answer=forms.review),
        ConsoleRoute(method="POST", path="/keys/revoke/{item}", roles=KEEPERS, answer=forms.revoke),
    )


def _team_routes(world: World) -> tuple[ConsoleRoute, ...]:
    teams, access = TeamPages(world), AccessPages(world)
    return (
        ConsoleRoute(method="GET", path="/teams", roles=EVERY_ROLE, answer=teams.listing, menu="keys.menu_teams"),
        ConsoleRoute(method="GET", path="/teams/{item}", roles=EVERY_ROLE, answer=teams.shown),
        ConsoleRoute(method="GET", path="/access", roles=EVERY_ROLE, answer=access.shown, menu="keys.menu_access"),
        ConsoleRoute(method="POST", path="/access/lock", roles=ADMINS, answer=access.lock),
        ConsoleRoute(method="POST", path="/access/lift", roles=ADMINS, answer=access.lift),
        ConsoleRoute(method="POST", path="/access/revoke", roles=ADMINS, answer=access.revoke),
        ConsoleRoute(method="POST", path="/access/grant", roles=ADMINS, answer=access.grant),
        ConsoleRoute(method="POST", path="/access/end", roles=ADMINS, answer=access.end_grant),
    )
