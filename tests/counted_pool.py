"""A pool whose workers count their slots and refuse past deciders as the real ones do, shared by several gateways.

What a worker would do in steps it does here in one sleep. Nothing is queued in it: one too many is `SlotTaken`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from policies.admitting.effects import Dispatch, Effect, Refuse, Waits
from policies.admitting.events import Arrived, Began, Ended, Left, SlotTaken, TargetReady
from policies.admitting.ticket import Bounds, Served, TargetFacts, Ticket

MODEL = "m:latest"
BOUNDS = Bounds(10_000, 10_000)
PROMPT_TOKENS, OUTPUT_TOKENS = 10, 20


class CountedPool:
    """`slots` of one target. `runs` counts how often each request was run to its end, `busy_s` slot-seconds by team."""

    def __init__(self, slots: int, target: str = "pool:m") -> None:
        self.facts = TargetFacts(id=target, pools=((MODEL, "", "chat"),), slots=slots)
        self.busy: dict[int, str] = {}
        self.most_busy = 0
        self.taken = 0
        self.stale = 0
        self.fence = 0
        self.started: Counter[int] = Counter()
        self.ended: Counter[int] = Counter()
        self.busy_s: Counter[str] = Counter()

    def start(self, ticket: Ticket, fence: int) -> bool:
        """Whether the request runs from now on."""
        if 0 < fence < self.fence:
            self.stale += 1
            return False
        self.fence = max(self.fence, fence)
        if len(self.busy) >= self.facts.slots:
            self.taken += 1
            return False
        assert ticket.id not in self.busy, "it runs twice"
        self.busy[ticket.id] = ticket.team
        self.most_busy = max(self.most_busy, len(self.busy))
        self.started[ticket.id] += 1
        return True

    def end(self, ticket: Ticket, ran_s: float, *, whole: bool) -> None:
        """Its slot is free; `whole`: it came to its end."""
        del self.busy[ticket.id]
        self.ended[ticket.id] += whole
        self.busy_s[ticket.team] += ran_s


class Asker:
    """A gateway's side: asks, waits for its turn, runs. `scheduler` is set once it is made with `carry_out`."""

    def __init__(self, pool: CountedPool, now_s: Callable[[], float], first_id: int) -> None:
        self.pool = pool
        self._now_s = now_s
        self._ids = iter(range(first_id, first_id + (1 << 40)))
        self.turns: dict[int, asyncio.Future[Effect]] = {}
        self.refused: Counter[str] = Counter()
        self.waits_s: list[float] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.scheduler: Any = None

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            turn = self.turns.get(effect.ticket.id)
            if turn is not None and not isinstance(effect, Waits):
                assert not turn.done(), f"decided twice: {effect}"
                turn.set_result(effect)

    def tell(self, event: object) -> None:
        self.scheduler.tell(event)

    def ready(self) -> None:
        self.tell(TargetReady(self.pool.facts))

    async def ask(self, team: str, service_s: float, weight: float = 1.0) -> bool:
        """One request from its arrival to its end; False when it was refused."""
        ticket = Ticket(
            id=next(self._ids),
            model=MODEL,
            kind="chat",
            team=team,
            arrived_s=self._now_s(),
            prompt_tokens=PROMPT_TOKENS,
            output_cap=OUTPUT_TOKENS,
            weight=weight,
        )
        finished = False
        try:
            self.turns[ticket.id] = asyncio.get_running_loop().create_future()
            self.tell(Arrived(ticket, BOUNDS))
            while True:
                effect = await self.turns[ticket.id]
                if isinstance(effect, Refuse):
                    self.refused[effect.reason] += 1
                    finished = True
                    return False
                assert isinstance(effect, Dispatch)
                if self.pool.start(ticket, effect.fence):
                    break
                await asyncio.sleep(0)
                self.turns[ticket.id] = asyncio.get_running_loop().create_future()
                self.tell(SlotTaken(ticket.id))
            self.waits_s.append(self._now_s() - ticket.arrived_s)
            await self._run(ticket, service_s)
            finished = True
            return True
        finally:
            del self.turns[ticket.id]
            if not finished:
                self.tell(Left(ticket.id))

    async def _run(self, ticket: Ticket, service_s: float) -> None:
        began_s, whole = self._now_s(), False
        try:
            self.tell(Began(ticket.id))
            await asyncio.sleep(service_s)
            whole = True
        finally:
            self.pool.end(ticket, self._now_s() - began_s, whole=whole)
            if whole:
                self.tell(Ended(ticket.id, Served(PROMPT_TOKENS, 0, OUTPUT_TOKENS)))
