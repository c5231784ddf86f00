"""The dispatcher: carries out what `policies.admission` decides, on the engines' targets.

It owns the one `Queue`, turns engine reports into its events, and wakes the requests that its
effects name. All of it runs on the event loop; no decision spans an await.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence

from engine.errors import SlotTaken
from engine.interface import Engine, Prepared, StepReport, TargetState
from gateway.clock import Clock
from policies.admission import Bounds, Dispatch, Effect, PoolKey, Queue, Refuse, TargetView, Ticket
from policies.call import Event
from policies.errors import NoCapacity, Overloaded

TICK_S = 0.25
"""How often expiries are looked for; a waiter learns of its end at most this much late."""

OnStep = Callable[[str, StepReport], None]
OnDispatch = Callable[[str], None]
OnTarget = Callable[[TargetState], None]


class Admission:
    """A request's right to run, for as long as its `admit` context lasts."""

    def __init__(self, dispatcher: "Dispatcher", ticket: Ticket, prepared: Prepared, on_dispatch: OnDispatch) -> None:
        self._dispatcher = dispatcher
        self._prepared = prepared
        self.ticket = ticket
        self._on_dispatch = on_dispatch
        self.target = ""
        self.finished = False

    async def wait(self) -> None:
        """Wait for a target. Raises Overloaded or NoCapacity when the queue turns the request away."""
        self.target = await self._dispatcher.turn_of(self.ticket)
        self._on_dispatch(self.target)

    async def events(self) -> AsyncGenerator[Event, None]:
        """The engine's events; goes back to the queue, at its place, when the target had no slot."""
        while not self.finished:
            engine = self._dispatcher.engine_of(self.target)
            try:
                async with engine.run(self.target, self._prepared) as events:
                    async for event in events:
                        yield event
                self.finished = True
            except SlotTaken:
                self._dispatcher.give_back(self.ticket)
                await self.wait()


class Dispatcher:
    """See the head of the module. `on_step` hears every step report, `on_target` every change of a target."""

    def __init__(
        self,
        engines: Sequence[Engine],
        clock: Clock,
        on_step: OnStep = lambda _target, _report: None,
        on_target: OnTarget = lambda _state: None,
    ) -> None:
        self.engines = tuple(engines)
        self._clock = clock
        self._on_step = on_step
        self._on_target = on_target
        self._queue = Queue()
        self._engine_of: dict[str, Engine] = {}
        self._makes_text: dict[str, bool] = {}
        self._announced: dict[str, TargetState] = {}
        self._held: Mapping[str, str] = {}
        self._turns: dict[int, asyncio.Future[str]] = {}
        self._ids = itertools.count(1)
        self._ticker: asyncio.Task[None] | None = None

    def now_s(self) -> float:
        """Monotonic seconds, the queue's clock."""
        return self._clock.mono_ns() / 1e9

    async def start_up(self) -> None:
        """Connect the engines and begin to tick."""
        for engine in self.engines:
            await engine.start_up(_Reports(self, engine))
        self._ticker = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Stop ticking and let the engines go."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        for engine in self.engines:
            await engine.close()

    @contextlib.asynccontextmanager
    async def admit(
        self, prepared: Prepared, team: str, bounds: Bounds, max_wait_s: float, on_dispatch: OnDispatch
    ) -> AsyncIterator[Admission]:
        """Queue a prepared call, wait for its turn, and hold its slot until the context ends.

        `on_dispatch` is called with the target at each dispatch: again after a slot that was taken.
        Raises Overloaded when too many wait or `max_wait_s` is over, NoCapacity when no target lives.
        """
        call = prepared.call
        now_s = self.now_s()
        ticket = Ticket(
            id=next(self._ids),
            model=call.model,
            kind=call.kind,
            team=team,
            arrived_s=now_s,
            expires_s=now_s + max_wait_s,
        )
        admission = Admission(self, ticket, prepared, on_dispatch)
        self._turns[ticket.id] = asyncio.get_running_loop().create_future()
        try:
            self._carry_out(self._queue.arrived(ticket, bounds, now_s))
            await admission.wait()
            yield admission
        finally:
            _forget(self._turns.pop(ticket.id))
            leave = self._queue.ended if admission.finished else self._queue.left
            self._carry_out(leave(ticket.id, self.now_s()))

    async def turn_of(self, ticket: Ticket) -> str:
        """The target that this ticket may run on, once it is its turn."""
        return await self._turns[ticket.id]

    def give_back(self, ticket: Ticket) -> None:
        """The ticket's target had no slot: back to the queue, at its place."""
        self._turns[ticket.id] = asyncio.get_running_loop().create_future()
        self._carry_out(self._queue.slot_taken(ticket.id, self.now_s()))

    def engine_of(self, target: str) -> Engine:
        """The engine that announced this target."""
        return self._engine_of[target]

    def hold(self, held: Mapping[str, str]) -> None:
        """Give nothing to these targets, whatever their engines say of them; each with the reason to refuse with.

        Replaces what was held before; what runs there ends by itself.
        """
        before, self._held = self._held, dict(held)
        for target in sorted(before.keys() ^ held.keys()):
            if target in self._announced:
                self._apply(self._announced[target])

    def waiting(self, team: str | None = None) -> int:
        """How many requests wait, of one team or in all."""
        return self._queue.waiting(team)

    def targets(self) -> tuple[TargetView, ...]:
        """What the queue knows of every target."""
        return self._queue.targets()

    def ready(self) -> bool:
        """True when a target can take work that makes text, or any work where no target ever makes text."""
        return any(self._makes_text.get(each.id) for each in self._queue.targets() if each.ready) or (
            not any(self._makes_text.values()) and any(each.ready for each in self._queue.targets())
        )

    # ---- reports of the engines

    def target_changed(self, engine: Engine, state: TargetState) -> None:
        """An engine announced a target, ready or lost."""
        self._engine_of[state.target] = engine
        self._makes_text[state.target] = state.kinds != ("embedding",)
        self._announced[state.target] = state
        self._on_target(state)
        self._apply(state)

    def step_reported(self, target: str, report: StepReport) -> None:
        """A target finished a step."""
        self._on_step(target, report)
        self._carry_out(self._queue.step_report(target, report.busy_slots, self.now_s()))

    # ---- inside

    def _apply(self, state: TargetState) -> None:
        """Tell the queue what a target is worth now."""
        pools = self._own_pools(self._engine_of[state.target], state)
        if state.ready and state.target not in self._held:
            self._carry_out(self._queue.target_ready(state.target, pools, state.slots, self.now_s()))
        else:
            self._carry_out(self._queue.target_lost(state.target, pools, self.now_s()))

    def _reason(self, effect: Refuse) -> str:
        """Why nothing serves a ticket's model: where targets that would are held, that they are."""
        if effect.reason != "no_capacity":
            return effect.reason
        would = (self._announced.get(target) for target in self._held)
        held = [each.target for each in would if each is not None and effect.ticket.model in each.models]
        return self._held[held[0]] if held else effect.reason

    def _own_pools(self, engine: Engine, state: TargetState) -> list[PoolKey]:
        """The pools of a target: only for models that no earlier engine has.

        A call is prepared, described and recorded as the first engine's model; another engine that lists the
        same name must not get its prompts.
        """
        earlier = self.engines[: self.engines.index(engine)]
        taken = {card.name.lower() for other in earlier for card in other.models()}
        return [(model, kind) for model in state.models if model.lower() not in taken for kind in state.kinds]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._carry_out(self._queue.tick(self.now_s()))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            turn = self._turns.get(effect.ticket.id)
            if turn is None or turn.done():
                continue
            if isinstance(effect, Dispatch):
                turn.set_result(effect.target)
            else:
                turn.set_exception(_refusal(effect, self._reason(effect)))


class _Reports:
    """The observer of one engine: adds which engine speaks."""

    def __init__(self, dispatcher: Dispatcher, engine: Engine) -> None:
        self._dispatcher = dispatcher
        self._engine = engine

    def target_changed(self, state: TargetState) -> None:
        self._dispatcher.target_changed(self._engine, state)

    def step_reported(self, target: str, report: StepReport) -> None:
        self._dispatcher.step_reported(target, report)


def _forget(turn: asyncio.Future[str]) -> None:
    """A refusal that its caller left before hearing is nobody's forgotten exception."""
    if turn.done() and not turn.cancelled():
        turn.exception()


def _refusal(effect: Refuse, reason: str) -> Overloaded | NoCapacity:
    if effect.reason == "no_capacity":
        return NoCapacity(reason, retry_after_s=effect.retry_after_s)
    return Overloaded(effect.reason, retry_after_s=effect.retry_after_s)
