"""The pages of the part "policy" of the console: what is live, its history, what it decides, patches for the file."""

from gateway.console.page import ConsoleRoute
from gateway.console.policy.explain_page import ExplainPage
from gateway.console.policy.history_page import HistoryPage
from gateway.console.policy.live_page import LivePage
from gateway.console.policy.patch_page import PatchPage
from gateway.console.world import World
from policies.console.viewer import EVERY_ROLE, Role

READERS: frozenset[Role] = frozenset({"admin", "auditor"})
ADMINS: frozenset[Role] = frozenset({"admin"})


def routes(world: World) -> tuple[ConsoleRoute, ...]:
    """The part's pages. A team lead sees what the policy says of their teams, and no more."""
    live, history = LivePage(world), HistoryPage(world)
    explain, patch = ExplainPage(world, live), PatchPage(world, live)
    return (
        ConsoleRoute(method="GET", path="/policy", roles=EVERY_ROLE, answer=live.shown, menu="policy.menu"),
        ConsoleRoute(method="GET", path="/policy/history", roles=READERS, answer=history.shown),
        ConsoleRoute(method="GET", path="/policy/explain", roles=READERS, answer=explain.shown),
        ConsoleRoute(method="GET", path="/policy/patch", roles=ADMINS, answer=patch.shown),
    )
