"""Loads and unloads workers as `engine.residency` decides: lets keepers start them, tells them to leave.

What it hears: gateways (what requests wait for, hints), workers (that they serve, how busy they are) and keepers (that
a process ended, and whether it is given up). After each of these, and every `TICK_S`, it decides; what has changed is
told to every gateway.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from engine.plan import Plan
from engine.residency import COMING, Drain, Effect, Group, Residence, Residency, WorkerNeeds
from gateway.supervision.loader_desk import LoaderDesk
from gateway.supervision.process_line import ProcessLine
from gateway.supervision.worker_watch import WorkerWatch

log = structlog.get_logger("corral.supervisor")

TICK_S = 0.25
ASK_EVERY_S = 1.0
"""How busy workers are is asked once a second; at every tick while somebody waits for another."""
WAITED_FOR_S = 1.5
"""How long after the last word of that; gateways say it every second."""


class WorkerUpkeep:
    """One worker's `gateway.supervision.upkeep.Upkeep`: it may start while its gate is open."""

    def __init__(self, name: str, loader: "Loader") -> None:
        self._name = name
        self._loader = loader
        self.gate = asyncio.Event()

    async def may_start(self) -> None:
        """Once the loader has decided so."""
        await self.gate.wait()

    def was_to_leave(self) -> bool:
        """Called at the end of its process."""
        return self._loader.process_ended(self._name)

    def is_overdue(self) -> bool:
        """Asked at every look at its process."""
        return self._loader.is_overdue(self._name)

    def ended(self, cause: str, delay_s: float, *, quarantined: bool) -> None:
        """It died."""
        if quarantined:
            self._loader.given_up(self._name, delay_s, cause)


class Loader:
    """See the head of the module. `now_s` is the machine's monotonic clock, since gateways read it too."""

    def __init__(
        self,
        plan: Plan,
        listening: socket.socket,
        *,
        keep_alive_s: float | None,
        patience_s: float,
        now_s: Callable[[], float] = time.monotonic,
        lines: Mapping[str, ProcessLine] | None = None,
    ) -> None:
        workers = [process for process in plan.processes if process.role != "preparer"]
        self._residency = Residency(
            [
                WorkerNeeds(name=each.name, model=each.model, role=each.role, needs_bytes=each.needs_bytes)
                for each in workers
            ],
            budget_bytes=plan.memory_budget_bytes,
            keep_alive_s=keep_alive_s,
            patience_s=patience_s,
        )
        self._groups = {(each.model, each.role) for each in workers}
        lines = lines or {each.name: ProcessLine(each) for each in workers}
        self._watches = {each.name: WorkerWatch(each.name, lines[each.name], self) for each in workers}
        self._upkeep = {each.name: WorkerUpkeep(each.name, self) for each in workers}
        self._desk = LoaderDesk(listening, self)
        self._now_s = now_s
        self._told: tuple[Residence, ...] = ()
        self._asked_s = 0.0
        self._waited_for_s = -WAITED_FOR_S

    def upkeep(self, name: str) -> WorkerUpkeep:
        """What the keeper of that worker asks."""
        return self._upkeep[name]

    async def run(self) -> None:
        """Load and unload until cancelled."""
        await self._desk.open()
        for watch in self._watches.values():
            watch.open()
        try:
            self._carry_out(self._residency.begin(self._now_s()))
            while True:
                self._pass_time()
                await asyncio.sleep(TICK_S)
        finally:
            await self._desk.close()
            await asyncio.gather(*(watch.close() for watch in self._watches.values()))

    # ---- what gateways say

    def wanted(
        self, source: int, groups: tuple[Group, ...], away: tuple[str, ...] = (), longest_answer_s: float = 0.0
    ) -> None:
        """All that the requests of that gateway wait for, the workers that told it that they leave, and how long an
        answer of its callers may take (0: it has not said).
        """
        self._residency.said_away(source, away, longest_answer_s, self._now_s())
        known = [group for group in groups if group in self._groups]
        if known:
            self._waited_for_s = self._now_s()
        self._residency.want(source, known, self._now_s())
        self._decide()

    def kept(self, model: str, seconds: float) -> None:
        """A caller's hint."""
        if seconds:
            self._residency.keep(model, seconds, self._now_s())
        else:
            self._residency.release(model, self._now_s())
        self._decide()

    def residences(self) -> tuple[Residence, ...]:
        """How it is with every worker."""
        return self._residency.residences()

    # ---- what workers and keepers say

    def loaded(self, name: str) -> None:
        """It serves."""
        coming = self._residency.state(name) in COMING
        self._residency.loaded(name, self._now_s())
        if coming:
            log.info("worker_serves", process=name)
        self._decide()

    def counted(self, name: str, busy_slots: int, started: int) -> None:
        """How busy it is."""
        self._residency.busy(name, busy_slots, started, self._now_s())

    def process_ended(self, name: str) -> bool:
        """Its process is gone; whether it had been told to leave."""
        was_leaving = self._residency.state(name) == "draining"
        self._residency.died(name, self._now_s())
        self._decide()
        return was_leaving

    def is_overdue(self, name: str) -> bool:
        """Whether it was told to leave and has not, for too long."""
        return self._residency.is_overdue(name, self._now_s())

    def given_up(self, name: str, retry_s: float, cause: str) -> None:
        """Its keeper tries again after so long at the earliest."""
        self._upkeep[name].gate.clear()
        self._residency.failed(name, retry_s, cause, self._now_s())
        self._decide()

    # ---- inside

    def _pass_time(self) -> None:
        now_s = self._now_s()
        pause_s = 0.0 if now_s - self._waited_for_s < WAITED_FOR_S else ASK_EVERY_S
        if now_s - self._asked_s >= pause_s:
            self._asked_s = now_s
            for each in self._residency.residences():
                if each.state == "loaded":
                    self._watches[each.name].ask()
                elif each.state == "draining":
                    self._watches[each.name].drain()
        self._decide()

    def _decide(self) -> None:
        self._carry_out(self._residency.tick(self._now_s()))
        now = self._residency.residences()
        if now != self._told:
            self._told = now
            self._desk.tell(now)

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            gate, watch = self._upkeep[effect.worker].gate, self._watches[effect.worker]
            if isinstance(effect, Drain):
                gate.clear()
                watch.drain()
            else:
                gate.set()
            log.info("worker_is_to_leave" if isinstance(effect, Drain) else "worker_is_to_load", process=effect.worker)
