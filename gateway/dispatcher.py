"""The dispatcher: joins the engines' targets, the queue that decides, and the requests that wait for its word.

It turns what engines and requests report into the queue's events, hands them to the scheduler, and carries out what
comes back: a request is woken with its target, or with its refusal. All of it runs on the event loop; no decision
spans an await.
"""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, structs

from engine.errors import SlotTaken
from engine.interface import Engine, Prepared, StepReport, TakenRun, TargetState
from gateway.catalogue import Catalogue
from gateway.clock import Clock
from gateway.demand import Demand
from gateway.exchange import tokens_of
from gateway.read_ahead import read_ahead
from gateway.scheduling.own_queue import OwnQueue
from gateway.scheduling.scheduler import CarryOut, Scheduler
from gateway.suspects import Note, SuspectBook
from policies.admitting import events as happened
from policies.admitting.effects import Dispatch, Effect, Forecast, Refuse, Waits
from policies.admitting.queue_view import QueueView, TargetView
from policies.admitting.ticket import BandTerms, Bounds, PoolKey, Served, Step, TargetFacts, Ticket
from policies.call import Call, Event, Final
from policies.errors import NoCapacity, Overloaded
from policies.queue_wish import QueueTerms

ID_BITS = 40
"""Of a ticket's id the lower ones count, those above are drawn once for each process."""
GREW_TOKENS = 8
"""How often the queue hears how long an answer is by now."""

SILENCE_S = 5.0
"""How long after its deadline a request waits for the queue to say so: no fault of the queue may leave it hanging."""

OnStep = Callable[[str, StepReport], None]
OnTarget = Callable[[TargetState], None]
MakeScheduler = Callable[[CarryOut], Scheduler]


class Applicant(Struct, frozen=True, kw_only=True):
    """Who asks for a slot, on what terms. `identity` knows the same request of the same key again.

    `band` is the team's own, whatever band the terms name; "" for that.
    """

    team: str
    weight: float
    band: str = ""
    terms: QueueTerms
    bounds: Bounds
    identity: bytes


class Told(Protocol):
    """Who hears what becomes of a request in the queue."""

    def queue_answered(self, forecast: Forecast, *, waits: bool) -> None: ...
    def dispatched(self, target: str) -> None: ...
    def taken(self, run: TakenRun | None) -> None: ...
    def back_in_queue(self) -> None: ...
    def slot_over(self) -> None: ...


class Turn:
    """What a request in the queue waits for: the queue's first word, then its slot."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.slot: asyncio.Future[Dispatch] = asyncio.get_running_loop().create_future()

    def take(self, effect: Effect, reason: str) -> None:
        """The queue decided."""
        first = not self.answered.done()
        if first:
            self.answered.set_result(None)
        if isinstance(effect, Waits):
            self.told.queue_answered(effect.forecast, waits=True)
        elif not self.slot.done():
            if first:
                self.told.queue_answered(effect.forecast, waits=False)
            if isinstance(effect, Dispatch):
                self.slot.set_result(effect)
            else:
                self.slot.set_exception(_refusal(effect, reason))

    def forget(self) -> None:
        """A refusal that its caller left before hearing is nobody's forgotten exception."""
        if self.slot.done() and not self.slot.cancelled():
            self.slot.exception()


class Admission:
    """A request's place in the queue and then its slot, for as long as its `admit` context lasts."""

    def __init__(
        self, dispatcher: "Dispatcher", ticket: Ticket, bounds: Bounds, prepared: Prepared, told: Told
    ) -> None:
        self._dispatcher = dispatcher
        self._bounds = bounds
        self._prepared = prepared
        self._told = told
        self._slot: Dispatch | None = None
        self.ticket = ticket
        self.finished = False

    def waits(self) -> bool:
        """True while it has no slot yet."""
        return self._dispatcher.waits(self.ticket)

    def forecast(self) -> Forecast:
        """Its place and what is left of its wait, by now."""
        return self._dispatcher.forecast(self.ticket)

    def crowd(self) -> int:
        """How many wait, of all teams."""
        return self._dispatcher.waiting()

    async def turn(self) -> None:
        """Wait for a slot; one that became a suspect meanwhile goes back for one where it is alone.

        Raises Overloaded or NoCapacity when the queue turns the request away, RequestKillsWorker.
        """
        dispatcher = self._dispatcher
        slot = await dispatcher.turn_of(self.ticket)
        while dispatcher.suspects.must_run_alone(self._prepared) and not self.ticket.alone:
            self.ticket = dispatcher.queue_alone(self.ticket, self._bounds, self._told)
            slot = await dispatcher.turn_of(self.ticket)
        self._slot = slot
        self._told.dispatched(self._slot.target)

    async def events(self) -> AsyncGenerator[Event, None]:
        """The engine's events; goes back to the queue, at its place, when the target had no slot."""
        while not self.finished:
            slot = self._slot
            if slot is None:
                raise TypeError("events before a turn")
            try:
                run = self._dispatcher.engine_of(slot.target).run(slot.target, self._prepared, slot.fence)
                async with run as events:
                    self._told.taken(events if isinstance(events, TakenRun) else None)
                    async with read_ahead(self._reported(events)) as ahead:
                        async for event in ahead:
                            yield event
                return  # without an end of its own it has left, and its slot is free
            except SlotTaken:
                self._told.back_in_queue()
                self._dispatcher.give_back(self.ticket, self._told)
                await self.turn()

    async def _reported(self, events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
        """The same events; the queue hears of the first, of the answer's growth, and at once of its end."""
        tokens = told_tokens = 0
        began = False
        async for event in events:
            if not began:
                began = True
                self._dispatcher.tell(happened.Began(self.ticket.id))
            tokens += tokens_of(event)
            if tokens - told_tokens >= GREW_TOKENS:
                told_tokens = tokens
                self._dispatcher.tell(happened.Grew(self.ticket.id, tokens))
            if isinstance(event, Final):
                self._told.slot_over()
                self._dispatcher.tell(happened.Ended(self.ticket.id, _served(event)))
                if self.ticket.alone:
                    self._dispatcher.suspects.ended_well(self._prepared)
                self.finished = True
            yield event


class Dispatcher:
    """See the head of the module. `on_step` hears every step report, `on_target` every change of a target.

    `note` writes into the audit log which requests are suspects.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        clock: Clock,
        on_step: OnStep = lambda _target, _report: None,
        on_target: OnTarget = lambda _state: None,
        make_scheduler: MakeScheduler | None = None,
        note: Note = lambda _event, _details: None,
    ) -> None:
        self.engines = tuple(engines)
        self.catalogue = Catalogue(self.engines)
        self._clock = clock
        self._on_step = on_step
        self._on_target = on_target
        self.scheduler = make_scheduler(self._carry_out) if make_scheduler else OwnQueue(clock, self._carry_out)
        self.suspects = SuspectBook(clock, note)
        self._engine_of: dict[str, Engine] = {}
        self._makes_text: dict[str, bool] = {}
        self._announced: dict[str, TargetState] = {}
        self._applied: dict[str, tuple[TargetFacts, bool]] = {}
        self._held: Mapping[str, str] = {}
        self._turns: dict[int, Turn] = {}
        self.demand = Demand()
        self._ids = itertools.count((secrets.randbits(62 - ID_BITS) << ID_BITS) + 1)

    def now_s(self) -> float:
        """Monotonic seconds, the queue's clock."""
        return self._clock.mono_ns() / 1e9

    async def start_up(self) -> None:
        """Begin to decide, and connect the engines."""
        await self.scheduler.start()
        for engine in self.engines:
            await engine.start_up(_Reports(self, engine))

    async def close(self) -> None:
        """Let the engines go, and decide no more."""
        for engine in self.engines:
            await engine.close()
        await self.scheduler.close()

    def take_bands(self, bands: Iterable[BandTerms]) -> None:
        """The policy's bands, highest first."""
        self.tell(happened.BandsChanged(tuple(bands)))

    @contextlib.asynccontextmanager
    async def admit(self, prepared: Prepared, applicant: Applicant, told: Told) -> AsyncIterator[Admission]:
        """A place in the queue, from the queue's first word until the context ends.

        Raises Overloaded when the request is turned away at once, NoCapacity when no target lives, RequestKillsWorker.
        `told` hears the queue's word, and of each slot.
        """
        ticket = self._ticket(prepared, applicant)
        turn = self._turns[ticket.id] = Turn(told)
        admission = Admission(self, ticket, applicant.bounds, prepared, told)
        try:
            self.tell(happened.Arrived(ticket, applicant.bounds))
            await self._answer_to(turn, applicant)
            if turn.slot.done():
                turn.slot.result()  # a refusal at once is raised here
            yield admission
        finally:
            self._turns.pop(admission.ticket.id).forget()
            if not admission.finished:
                self.tell(happened.Left(admission.ticket.id))

    async def _answer_to(self, turn: Turn, applicant: Applicant) -> None:
        """The queue's first word. Raises Overloaded where it says none in all the time there is to wait."""
        try:
            async with asyncio.timeout(applicant.terms.max_wait_s + SILENCE_S):
                await turn.answered
        except TimeoutError:
            raise Overloaded("expired_in_queue", retry_after_s=1.0) from None

    async def turn_of(self, ticket: Ticket) -> Dispatch:
        """The slot of this ticket, once it is its turn. Raises Overloaded also where the queue has forgotten it."""
        left_s = max((ticket.expires_s or 0.0) - self.now_s(), 0.0)
        try:
            async with asyncio.timeout(left_s + SILENCE_S):
                with self.demand.waited_for(ticket.model, ticket.kind):
                    return await self._turns[ticket.id].slot
        except TimeoutError:
            raise Overloaded("expired_in_queue", retry_after_s=1.0) from None

    def waits(self, ticket: Ticket) -> bool:
        """True while the queue has not decided."""
        return not self._turns[ticket.id].slot.done()

    def forecast(self, ticket: Ticket) -> Forecast:
        """Its place and what is left of its wait."""
        return self.scheduler.forecast(ticket.id)

    def give_back(self, ticket: Ticket, told: Told) -> None:
        """The ticket's target had no slot: back to the queue, at its place."""
        turn = self._turns[ticket.id] = Turn(told)
        turn.answered.set_result(None)
        self.tell(happened.SlotTaken(ticket.id))

    def queue_alone(self, ticket: Ticket, bounds: Bounds, told: Told) -> Ticket:
        """A worker died with the same request since this one came: to the queue again, as one that must run alone."""
        self.tell(happened.Left(ticket.id))
        del self._turns[ticket.id]
        alone = structs.replace(ticket, id=next(self._ids), alone=True)
        turn = self._turns[alone.id] = Turn(told)
        turn.answered.set_result(None)
        self.tell(happened.Arrived(alone, bounds))
        return alone

    def engine_of(self, target: str) -> Engine:
        """The engine that announced this target."""
        return self._engine_of[target]

    def hold(self, held: Mapping[str, str]) -> None:
        """Give nothing to these targets, whatever their engines say of them; each with the reason to refuse with.

        Replaces what was held before; what runs there ends by itself.
        """
        self._held = dict(held)
        self._apply_all()

    def held(self) -> dict[str, str]:
        """The targets that are given no work, and the reason of each."""
        return dict(self._held)

    def waiting(self, team: str | None = None) -> int:
        """How many requests wait, of one team or in all."""
        return self.scheduler.waiting(team)

    def targets(self) -> tuple[TargetView, ...]:
        """What the queue knows of every target."""
        return self.scheduler.targets()

    def adapters(self) -> frozenset[str]:
        """All that some target runs, or would once it is loaded; one that a worker left out is not among them."""
        return frozenset(name for state in self._announced.values() for name in state.adapters)

    def view(self) -> QueueView:
        """The queue, for operators."""
        return self.scheduler.view()

    def ready(self) -> bool:
        """True when a target can take work that makes text, or any work where no target ever makes text.

        One that is loaded for whoever waits can; one that is loaded for the first time cannot yet.
        """
        ready = [each.id for each in self.scheduler.targets() if each.ready or self._is_loaded_on_demand(each.id)]
        return any(self._makes_text.get(each) for each in ready) or (not any(self._makes_text.values()) and bool(ready))

    def tell(self, event: happened.QueueEvent) -> None:
        """Something happened."""
        self.scheduler.tell(event)

    # ---- reports of the engines

    def target_changed(self, engine: Engine, state: TargetState) -> None:
        """An engine announced a target, ready or lost."""
        self._engine_of[state.target] = engine
        self._makes_text[state.target] = state.kinds != ("embedding",)
        self._announced[state.target] = state
        self._on_target(state)
        if state.ready:
            self.suspects.lives(state.target)
        self._applied.pop(state.target, None)
        self._apply_all()  # what this one lists may have been another's

    def step_reported(self, target: str, report: StepReport) -> None:
        """A target finished a step."""
        self._on_step(target, report)
        step = Step(
            step_s=report.step_ns / 1e9,
            decode_rows=report.decode_rows,
            prefill_rows=report.prefill_rows,
            busy_slots=report.busy_slots,
        )
        self.tell(happened.Stepped(target, step))

    # ---- inside

    def _ticket(self, prepared: Prepared, applicant: Applicant) -> Ticket:
        call, terms, now_s = prepared.call, applicant.terms, self.now_s()
        return Ticket(
            id=next(self._ids),
            model=call.model,
            adapter=call.adapter,
            kind=call.kind,
            team=applicant.team,
            weight=applicant.weight,
            band=terms.band,
            own_band=applicant.band,
            arrived_s=now_s,
            expires_s=now_s + terms.max_wait_s,
            promise_s=terms.promise_s,
            enforced=terms.enforced,
            prompt_tokens=prepared.prompt_tokens,
            output_cap=prepared.max_output_tokens,
            traits=_traits(call),
            blocks=prepared.block_hashes,
            identity=applicant.identity,
            alone=self.suspects.must_run_alone(prepared),
            tenant=call.tenant,
        )

    def _apply_all(self) -> None:
        """Tell the queue what each target is worth now, where that has changed."""
        for state in list(self._announced.values()):
            engine = self._engine_of[state.target]
            now = _facts(state, self._own_pools(engine, state)), state.ready and state.target not in self._held
            if self._applied.get(state.target) != now:
                self._applied[state.target] = now
                facts, ready = now
                self.tell(happened.TargetReady(facts) if ready else happened.TargetLost(facts))

    def _reason(self, effect: Effect) -> str:
        """Why nothing serves a ticket's model: where targets that would are held, that they are."""
        if not isinstance(effect, Refuse):
            return ""
        if effect.reason != "no_capacity":
            return effect.reason
        if any(each.fault and effect.ticket.model in each.models for each in self._announced.values()):
            return "model_cannot_be_loaded"
        would = (self._announced.get(target) for target in self._held)
        held = [each.target for each in would if each is not None and effect.ticket.model in each.models]
        return self._held[held[0]] if held else effect.reason

    def _is_loaded_on_demand(self, target: str) -> bool:
        state = self._announced.get(target)
        if state is None or target in self._held:
            return False
        return state.standby == "absent" or (state.standby == "loading" and state.load_s > 0)

    def _own_pools(self, engine: Engine, state: TargetState) -> tuple[PoolKey, ...]:
        """The pools of a target: only for models that no earlier engine has.

        A call is prepared, described and recorded as the first engine's model; another engine that lists the
        same name must not get its prompts.
        """
        own = [model for model in state.models if self.catalogue.owner_of(model) in (None, engine)]
        return tuple((model, adapter, kind) for model in own for adapter in state.adapters for kind in state.kinds)

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            turn = self._turns.get(effect.ticket.id)
            if turn is not None:
                turn.take(effect, self._reason(effect))


class _Reports:
    """The observer of one engine: adds which engine speaks."""

    def __init__(self, dispatcher: Dispatcher, engine: Engine) -> None:
        self._dispatcher = dispatcher
        self._engine = engine

    def target_changed(self, state: TargetState) -> None:
        self._dispatcher.target_changed(self._engine, state)

    def step_reported(self, target: str, report: StepReport) -> None:
        self._dispatcher.step_reported(target, report)

    def target_died(self, target: str, batch: tuple[Prepared, ...], *, alone: bool) -> None:
        self._dispatcher.suspects.died(target, batch, alone=alone)


def _facts(state: TargetState, pools: tuple[PoolKey, ...]) -> TargetFacts:
    return TargetFacts(
        id=state.target,
        pools=pools,
        slots=state.slots,
        slot_weight=state.slot_weight,
        slot_tokens=state.slot_tokens,
        swaps=state.swaps,
        standby=state.standby,
        load_s=state.load_s,
    )


def _served(final: Final) -> Served:
    usage = final.usage
    return Served(usage.prompt_tokens, usage.cached_tokens, usage.output_tokens, final.timings.load_ns / 1e9)


def _traits(call: Call) -> str:
    """What tells the length of an answer beside its cap."""
    return "tools" if call.tools else "" if call.format.kind == "text" else "json"


def _refusal(effect: Refuse, reason: str) -> Overloaded | NoCapacity:
    if effect.reason == "no_capacity":
        return NoCapacity(reason, retry_after_s=effect.retry_after_s or 1.0)
    return Overloaded(effect.reason, retry_after_s=effect.retry_after_s)
