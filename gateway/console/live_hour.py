"""The last hour as this gateway sees it: its own requests as they end, and the queue looked at every few seconds."""

import asyncio
import math
from collections.abc import Callable

from gateway.clock import Clock
from gateway.exchange import Exchange
from policies.admitting.queue_view import QueueView
from policies.console.last_hour import OTHERS, STEP_S, Ended, HourView, LastHour, Look, TeamLook
from policies.console.viewer import Viewer

LOOKS_A_STEP = 2
"""So that every step has one, however late the loop comes by."""


class LiveHour:
    """Counts from its making on. `view` is the queue as of now, of all gateways where they share one."""

    def __init__(self, view: Callable[[], QueueView], clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self._hour = LastHour()

    def finished(self, exchange: Exchange) -> None:
        """One request is over, however it ended."""
        self._hour.ended(ended_of(exchange), self._now_s())

    def look(self) -> None:
        """Take the queue as it is."""
        self._hour.looked(look_of(self._view()), self._now_s())

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(STEP_S / LOOKS_A_STEP)

    def shown(self, viewer: Viewer) -> HourView:
        """The hour as `viewer` may see it."""
        return self._hour.shown(viewer.teams, self._now_s())

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9


def ended_of(exchange: Exchange) -> Ended:
    """What the overview counts of a request. A team that the policy has not counts with the others."""
    principal, in_force = exchange.principal, exchange.in_force
    known = principal is not None and in_force is not None and principal.team in in_force.policy.teams
    foretold_s = exchange.forecast.wait_s if exchange.forecast is not None and exchange.target else math.inf
    waited_ns = exchange.queued_ns
    return Ended(
        team=principal.team if principal is not None and known else OTHERS,
        refused=exchange.refused_for,
        prompt_tokens=exchange.usage.prompt_tokens if exchange.target else 0,
        output_tokens=exchange.usage.output_tokens,
        foretold_s=foretold_s if math.isfinite(foretold_s) else None,
        waited_s=None if waited_ns is None else waited_ns / 1e9,
    )


def look_of(view: QueueView) -> Look:
    """What the overview keeps of the queue."""
    ready = [each for each in view.targets if each.ready]
    return Look(
        slots=sum(each.slots for each in ready),
        teams=tuple(TeamLook(each.name, each.waiting, each.running) for each in view.teams),
    )
