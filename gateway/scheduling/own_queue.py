"""The queue of a gateway that decides alone: the machine, a clock and a tick."""

import asyncio

from gateway.clock import Clock
from gateway.scheduling.decision_times import DecisionTimes
from gateway.scheduling.scheduler import CarryOut
from policies.admission import Queue
from policies.admitting.effects import Forecast
from policies.admitting.events import QueueEvent, Tick
from policies.admitting.queue_view import QueueView, TargetView

TICK_S = 0.25
"""How often deadlines are looked at; a waiter learns of its end at most this much late."""


class OwnQueue:
    """`gateway.scheduling.scheduler.Scheduler` over one `Queue`."""

    def __init__(self, clock: Clock, carry_out: CarryOut, queue: Queue | None = None) -> None:
        self._clock = clock
        self._carry_out = carry_out
        self._queue = queue or Queue()
        self._ticker: asyncio.Task[None] | None = None
        self.decision_times = DecisionTimes()

    async def start(self) -> None:
        """Begin to tick."""
        self._ticker = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Stop ticking."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)

    def tell(self, event: QueueEvent) -> None:
        """Decide, and carry out."""
        with self.decision_times.measured():
            effects = self._queue.handle(event, self._now_s())
        self._carry_out(effects)

    def forecast(self, ticket_id: int) -> Forecast:
        """By now."""
        return self._queue.forecast(ticket_id, self._now_s())

    def waiting(self, team: str | None = None) -> int:
        """How many wait, of one team or in all."""
        return self._queue.waiting(team)

    def targets(self) -> tuple[TargetView, ...]:
        """All targets."""
        return self._queue.targets()

    def view(self) -> QueueView:
        """By now."""
        return self._queue.view(self._now_s())

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.tell(Tick())
            except Exception as bug:  # noqa: BLE001 (a loop that must go on: without it no deadline is looked at)
                asyncio.get_running_loop().call_exception_handler({"message": "a tick failed", "exception": bug})
