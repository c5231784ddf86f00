"""The pages of the part "models" of the console: what is offered, loaded, in what state, and why something is not."""

from gateway.console.model_rows import model_rows, other_processes, worker_rows
from gateway.console.page import Answer, ConsoleRoute, Page, Visit
from gateway.console.world import World
from policies.console.viewer import EVERY_ROLE


def routes(world: World) -> tuple[ConsoleRoute, ...]:
    """The part's pages."""

    async def models(visit: Visit) -> Answer:
        return Page("models/models.html", await _shown(world, visit))

    return (ConsoleRoute(method="GET", path="/models", roles=EVERY_ROLE, answer=models, menu="models.menu"),)


async def _shown(world: World, visit: Visit) -> dict[str, object]:
    status, dispatcher = await world.perform(visit, "status", {}), world.gate.dispatcher
    residences, processes = status["residences"], status["processes"]
    whole = visit.viewer.teams is None
    rows = model_rows(
        world.gate.catalogue.cards(),
        world.gate.in_force.policy.teams,
        visit.viewer,
        residences,
        dispatcher.view().targets,
        dispatcher.held(),
    )
    return {
        "whole": whole,
        "rows": rows,
        "workers": worker_rows(residences, processes, rows),
        "others": other_processes(residences, processes) if whole else [],
        "left_out": status["left_out"] if whole else [],
        "suspects": status["suspects"],
        "callers": status["suspect_callers"],
    }
