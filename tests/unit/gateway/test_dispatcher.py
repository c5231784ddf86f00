"""The dispatcher carries out effects: turns, refusals, cancellation, slots that were taken, whose model is whose."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

import pytest
from msgspec import structs

from engine.errors import SlotTaken
from engine.interface import Prepared, TargetState
from gateway.dispatcher import Applicant, Dispatcher
from gateway.scheduling.own_queue import OwnQueue
from gateway.scheduling.scheduler import CarryOut
from policies.admitting.effects import Dispatch, Effect, Forecast
from policies.admitting.events import BandsChanged, Began, Ended, Grew, QueueEvent, Stepped, Tick
from policies.admitting.target import RETURN_GRACE_S
from policies.admitting.ticket import BandTerms, Bounds, Ticket
from policies.call import Call, Event, Final, Text, Tool, Usage
from policies.errors import NoCapacity, Overloaded
from policies.queue_wish import QueueTerms
from tests.fakes import FakeEngine, ManualClock, card


class Heard:
    """Who hears what becomes of a request."""

    def __init__(self) -> None:
        self.forecasts: list[tuple[bool, Forecast]] = []
        self.targets: list[str] = []
        self.returns = 0
        self.overs = 0

    def queue_answered(self, forecast: Forecast, *, waits: bool) -> None:
        self.forecasts.append((waits, forecast))

    def dispatched(self, target: str) -> None:
        self.targets.append(target)

    def taken(self, run: object) -> None: ...

    def slot_over(self) -> None:
        self.overs += 1

    def back_in_queue(self) -> None:
        self.returns += 1


class Watched(OwnQueue):
    """The real scheduler; keeps what it was told and decided."""

    def __init__(self, clock: ManualClock, carry_out: CarryOut) -> None:
        super().__init__(clock, self._noted)
        self.events: list[QueueEvent] = []
        self.effects: list[Effect] = []
        self._passed_on = carry_out

    def tell(self, event: QueueEvent) -> None:
        self.events.append(event)
        super().tell(event)

    def _noted(self, effects: Iterable[Effect]) -> None:
        effects = list(effects)
        self.effects += effects
        self._passed_on(effects)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events if not isinstance(event, Tick)]


def prepared(model: str = "m:latest", **call: object) -> Prepared:
    return Prepared(call=Call(kind="chat", model=model, **call), prompt_tokens=1, max_output_tokens=4)


def applicant(team: str = "a", *, total: int = 2, max_wait_s: float = 60.0, **terms: object) -> Applicant:
    given = {"band": "usual", "promise_s": None, "enforced": True, "max_wait_s": max_wait_s} | terms
    bounds = Bounds(total=total, team=total)
    return Applicant(team=team, weight=1.0, terms=QueueTerms(**given), bounds=bounds, identity=b"who")


@asynccontextmanager
async def dispatching(
    *engines: FakeEngine, clock: ManualClock | None = None
) -> AsyncIterator[tuple[Dispatcher, Watched]]:
    clock = clock or ManualClock()
    dispatcher = Dispatcher(engines, clock, make_scheduler=lambda carry_out: Watched(clock, carry_out))
    scheduler = dispatcher.scheduler
    assert isinstance(scheduler, Watched)
    await dispatcher.start_up()
    try:
        yield dispatcher, scheduler
    finally:
        await dispatcher.close()


async def run(
    dispatcher: Dispatcher, who: Applicant | None = None, heard: Heard | None = None, asked: Prepared | None = None
) -> list[Event]:
    async with dispatcher.admit(asked or prepared(), who or applicant(), heard or Heard()) as admission:
        await admission.turn()
        async with aclosing(admission.events()) as events:
            return [event async for event in events]


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def busy(slots: int = 1) -> FakeEngine:
    """An engine whose answers do not end before `hold` is set."""
    engine = FakeEngine(slots=slots)
    engine.hold = asyncio.Event()
    return engine


# ---- turns


async def test_a_request_runs_to_its_end_and_frees_its_slot() -> None:
    engine = FakeEngine(slots=1)
    async with dispatching(engine) as (dispatcher, scheduler):
        for _ in range(3):
            events = await run(dispatcher)
            assert [type(event) for event in events] == [Text, Text, Final]
        assert dispatcher.targets()[0].running == 0
        assert dispatcher.view().admitted == 3
        assert "Left" not in scheduler.kinds()


async def test_the_queue_hears_of_the_first_event_of_growth_and_of_the_end_with_what_was_used() -> None:
    engine = FakeEngine(slots=1, script=[*[Text("x")] * 20, Final("stop", Usage(prompt_tokens=3, output_tokens=20))])
    async with dispatching(engine) as (dispatcher, scheduler):
        await run(dispatcher)
        assert scheduler.kinds() == ["TargetReady", "Arrived", "Began", "Grew", "Grew", "Ended"]
        [ended] = [event for event in scheduler.events if isinstance(event, Ended)]
        assert (ended.served.prompt_tokens, ended.served.output_tokens) == (3, 20)
        assert [event.output_tokens for event in scheduler.events if isinstance(event, Grew)] == [8, 16]
        assert len([event for event in scheduler.events if isinstance(event, Began)]) == 1


async def test_requests_beyond_the_slots_wait_their_turn_and_are_told_so() -> None:
    engine = busy()
    async with dispatching(engine) as (dispatcher, _):
        heard = [Heard() for _ in range(3)]
        tasks = [asyncio.create_task(run(dispatcher, heard=each)) for each in heard]
        await settled()
        assert (engine.running, dispatcher.waiting(), dispatcher.waiting("a")) == (1, 2, 2)
        assert [(waits, forecast.position) for each in heard for waits, forecast in each.forecasts] == [
            (False, 0),
            (True, 1),
            (True, 2),
        ]
        with pytest.raises(Overloaded, match="queue_full"):
            await run(dispatcher)
        assert engine.hold is not None
        engine.hold.set()
        assert len(await asyncio.gather(*tasks)) == 3
        assert [each.targets for each in heard] == [["fake"]] * 3


async def test_one_that_waits_may_ask_how_long() -> None:
    engine, clock = busy(), ManualClock()
    async with dispatching(engine, clock=clock) as (dispatcher, _):
        first = asyncio.create_task(run(dispatcher))
        await settled()
        async with dispatcher.admit(prepared(), applicant(), Heard()) as admission:
            assert admission.waits()
            assert admission.forecast().position == 1
            assert admission.forecast().wait_s > 0
            with pytest.raises(TypeError, match="before a turn"):
                await anext(admission.events())
            assert engine.hold is not None
            engine.hold.set()
            await admission.turn()
            assert not admission.waits()
            assert admission.forecast() == Forecast()
        await first
        assert dispatcher.waiting() == 0


async def test_what_a_request_asks_for_is_what_its_ticket_says() -> None:
    async with dispatching(FakeEngine()) as (dispatcher, scheduler):
        who = applicant("team", max_wait_s=30.0, promise_s=5.0, enforced=False, band="low")
        await run(dispatcher, who, asked=prepared(tools=(Tool("f"),)))
        await run(dispatcher)
        tickets = [event.ticket for event in scheduler.events if hasattr(event, "ticket")]
        ticket, other = tickets
        assert isinstance(ticket, Ticket)
        assert ticket.pool == ("m:latest", "", "chat")
        assert (ticket.team, ticket.band, ticket.promise_s, ticket.enforced) == ("team", "low", 5.0, False)
        assert (ticket.arrived_s, ticket.expires_s) == (1_000.0, 1_030.0)
        assert (ticket.prompt_tokens, ticket.output_cap, ticket.traits, ticket.identity) == (1, 4, "tools", b"who")
        assert other.id == ticket.id + 1
        assert other.traits == ""


# ---- those who leave


async def test_one_who_leaves_frees_place_and_slot_at_once() -> None:
    engine = busy()
    async with dispatching(engine) as (dispatcher, scheduler):
        running, waiting = (asyncio.create_task(run(dispatcher)) for _ in range(2))
        await settled()
        waiting.cancel()
        await settled()
        assert dispatcher.waiting() == 0
        running.cancel()
        await settled()
        assert (engine.running, engine.cancelled, dispatcher.targets()[0].running) == (0, 1, 0)
        assert scheduler.kinds().count("Left") == 2


async def test_one_who_leaves_before_hearing_its_refusal_leaves_no_exception_behind() -> None:
    engine, clock = busy(), ManualClock()
    async with dispatching(engine, clock=clock) as (dispatcher, scheduler):
        first = asyncio.create_task(run(dispatcher))
        await settled()
        async with dispatcher.admit(prepared(), applicant(max_wait_s=20.0), Heard()):
            clock.move(20.0)
            scheduler.tell(Tick())
        assert dispatcher.waiting() == 0
        assert engine.hold is not None
        engine.hold.set()
        await first


async def test_a_stream_that_stops_without_an_end_gives_its_slot_back() -> None:
    engine = FakeEngine(slots=1, script=[Text("half"), Text("an answer")])
    async with dispatching(engine) as (dispatcher, scheduler):
        await run(dispatcher)
        assert dispatcher.targets()[0].running == 0
        assert scheduler.kinds()[-1] == "Left"


async def test_an_engine_that_fails_gives_its_slot_back() -> None:
    engine = FakeEngine(slots=1)
    engine.fail["middle"] = RuntimeError("broken")
    async with dispatching(engine) as (dispatcher, _):
        with pytest.raises(RuntimeError, match="broken"):
            await run(dispatcher)
        assert dispatcher.targets()[0].running == 0


# ---- slots that were taken


async def test_a_taken_slot_sends_the_request_back_to_its_place() -> None:
    engine, heard = FakeEngine(slots=1), Heard()
    async with dispatching(engine) as (dispatcher, scheduler):
        engine.fail["start"] = SlotTaken("full")
        task = asyncio.create_task(run(dispatcher, heard=heard))
        await settled()
        assert dispatcher.waiting() == 1
        del engine.fail["start"]
        engine.report(busy_slots=0)
        assert len(await task) == 3
        assert heard.targets == ["fake", "fake"], "each dispatch is told"
        assert heard.returns == 1
        assert len(heard.forecasts) == 1, "the queue's first word only"
        assert len([effect for effect in scheduler.effects if isinstance(effect, Dispatch)]) == 2


async def test_one_whose_slot_was_taken_may_still_be_refused_or_leave() -> None:
    engine, clock = FakeEngine(slots=1), ManualClock()
    engine.fail["start"] = SlotTaken("full")
    async with dispatching(engine, clock=clock) as (dispatcher, scheduler):
        refused = asyncio.create_task(run(dispatcher, applicant(max_wait_s=5.0)))
        leaves = asyncio.create_task(run(dispatcher))
        await settled()
        assert dispatcher.waiting() == 2
        leaves.cancel()
        await settled()
        clock.move(5.0)
        scheduler.tell(Tick())
        with pytest.raises(Overloaded, match="expired_in_queue"):
            await refused
        assert dispatcher.waiting() == 0


# ---- refusals


async def test_an_unknown_model_has_no_capacity() -> None:
    async with dispatching(FakeEngine()) as (dispatcher, _):
        with pytest.raises(NoCapacity, match="no_capacity") as refusal:
            await run(dispatcher, asked=prepared("other:latest"))
        assert refusal.value.retry_after_s == 1.0


async def test_waiting_ends_with_its_time() -> None:
    clock, engine = ManualClock(), busy()
    async with dispatching(engine, clock=clock) as (dispatcher, scheduler):
        first = asyncio.create_task(run(dispatcher))
        await settled()
        second = asyncio.create_task(run(dispatcher, applicant(max_wait_s=20.0)))
        await settled()
        clock.move(20.0)
        scheduler.tell(Tick())
        with pytest.raises(Overloaded, match="expired_in_queue") as refusal:
            await second
        assert refusal.value.retry_after_s is not None
        assert engine.hold is not None
        engine.hold.set()
        await first


async def test_a_promise_that_cannot_be_kept_is_refused_at_once_with_its_forecast() -> None:
    heard = Heard()
    async with dispatching(busy()) as (dispatcher, _):
        first = asyncio.create_task(run(dispatcher))
        await settled()
        with pytest.raises(Overloaded, match="deadline_unreachable"):
            await run(dispatcher, applicant(promise_s=0.01), heard)
        [(waits, forecast)] = heard.forecasts
        assert not waits
        assert forecast.likely_s > 0.01
        first.cancel()
        await settled()


class Mute(Watched):
    """A scheduler that a fault has silenced."""

    def tell(self, event: QueueEvent) -> None:
        self.events.append(event)


async def test_a_queue_that_says_nothing_leaves_nobody_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dispatcher.SILENCE_S", 0.0)
    clock = ManualClock()
    dispatcher = Dispatcher((FakeEngine(),), clock, make_scheduler=lambda carry_out: Mute(clock, carry_out))
    with pytest.raises(Overloaded, match="expired_in_queue"):
        await run(dispatcher, applicant(max_wait_s=0.0))


async def test_a_queue_that_forgets_one_leaves_nobody_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dispatcher.SILENCE_S", 0.01)
    clock, engine = ManualClock(), busy()
    async with dispatching(engine, clock=clock) as (dispatcher, _):
        first = asyncio.create_task(run(dispatcher))
        await settled()
        async with dispatcher.admit(prepared(), applicant(max_wait_s=20.0), Heard()) as admission:
            assert admission.crowd() == 1
            clock.move(30.0)
            with pytest.raises(Overloaded, match="expired_in_queue"):
                await admission.turn()
        first.cancel()
        await settled()


# ---- bands, reports, readiness


async def test_the_policys_bands_are_told() -> None:
    async with dispatching(FakeEngine()) as (dispatcher, scheduler):
        bands = (BandTerms("high", 0.5), BandTerms("low", 0.5))
        dispatcher.take_bands(bands)
        assert scheduler.events[-1] == BandsChanged(bands)


async def test_readiness_and_reports_follow_the_engine() -> None:
    reports: list[str] = []
    changes: list[bool] = []
    engine = FakeEngine()
    dispatcher = Dispatcher(
        (engine,),
        ManualClock(),
        lambda target, _: reports.append(target),
        lambda state: changes.append(state.ready),
    )
    await dispatcher.start_up()
    assert dispatcher.ready()
    engine.announce(ready=False)
    assert not dispatcher.ready()
    engine.report(busy_slots=1)
    assert (reports, changes) == (["fake"], [True, False])
    await dispatcher.close()


async def test_a_step_is_told_in_seconds() -> None:
    engine = FakeEngine()
    async with dispatching(engine) as (_, scheduler):
        engine.report(busy_slots=1)
        [stepped] = [event for event in scheduler.events if isinstance(event, Stepped)]
        assert (stepped.target, stepped.step.step_s, stepped.step.busy_slots) == ("fake", 1e-9, 1)


async def test_ready_means_that_text_can_be_made_where_any_target_makes_it() -> None:
    engine = FakeEngine()
    async with dispatching(engine) as (dispatcher, _):
        vectors = TargetState(target="vectors", models=("m:latest",), kinds=("embedding",), slots=1, ready=True)
        engine.announce(ready=False)
        dispatcher.target_changed(engine, vectors)
        assert not dispatcher.ready()
        engine.announce(ready=True)
        assert dispatcher.ready()
        alone = Dispatcher((engine,), ManualClock())
        alone.target_changed(engine, vectors)
        assert alone.ready()


async def test_a_model_that_is_loaded_for_whoever_waits_counts_as_ready_and_what_is_waited_for_is_told() -> None:
    engine = FakeEngine(slots=1)
    wanted: list[frozenset[tuple[str, str]]] = []
    async with dispatching(engine) as (dispatcher, _):
        dispatcher.demand.subscribe(wanted.append)
        away = TargetState(target="fake", models=("m:latest",), kinds=("chat",), slots=1, ready=False)
        for standby, load_s, is_ready in (("", 0.0, False), ("loading", 0.0, False), ("absent", 0.0, True),
                                          ("failed", 2.0, False), ("loading", 2.0, True)):  # fmt: skip
            dispatcher.target_changed(engine, structs.replace(away, standby=standby, load_s=load_s))
            assert dispatcher.ready() == is_ready
        waiting = asyncio.create_task(run(dispatcher))
        await settled()
        assert wanted == [{("m:latest", "chat")}]
        engine.announce(ready=True)
        assert len(await waiting) == 3
        assert wanted[1:] == [frozenset()]
        dispatcher.hold({"fake": "held"})
        dispatcher.target_changed(engine, structs.replace(away, standby="absent"))
        assert not dispatcher.ready()


async def test_a_model_that_cannot_be_loaded_is_refused_at_once_with_that_reason() -> None:
    engine = FakeEngine(slots=1)
    async with dispatching(engine) as (dispatcher, _):
        away = TargetState(target="fake", models=("m:latest",), kinds=("chat",), slots=1, ready=False)
        dispatcher.target_changed(engine, structs.replace(away, standby="failed", fault="killed by SIGABRT"))
        with pytest.raises(NoCapacity, match="model_cannot_be_loaded"):
            await run(dispatcher)


# ---- whose model is whose, and what is held


async def test_an_engine_that_lists_anothers_model_never_gets_its_prompts() -> None:
    own, upstream = FakeEngine(slots=1, target="own"), FakeEngine(slots=9, target="upstream")
    upstream.cards = (card("m:latest"), card("theirs:latest"))
    async with dispatching(own, upstream) as (dispatcher, _):
        for _ in range(3):
            await run(dispatcher)
        assert (len(own.calls), len(upstream.calls)) == (3, 0)
        assert len(await run(dispatcher, asked=prepared("theirs:latest"))) == 3
        assert len(upstream.calls) == 1


async def test_whose_a_model_is_is_judged_anew_when_another_engine_lists_or_drops_it() -> None:
    """The first engine in order owns it, though it listed it last."""
    own, upstream = FakeEngine(slots=1, target="own"), FakeEngine(slots=9, target="upstream")
    own.cards = (card("x:latest"),)
    async with dispatching(own, upstream) as (dispatcher, _):
        await run(dispatcher)
        assert len(upstream.calls) == 1
        own.cards = (card("x:latest"), card("m:latest"))
        own.announce(ready=True)
        await run(dispatcher)
        assert (len(own.calls), len(upstream.calls)) == (1, 1)
        own.cards = (card("x:latest"),)
        own.announce(ready=True)
        await run(dispatcher)
        assert (len(own.calls), len(upstream.calls)) == (1, 2)


async def test_nothing_is_told_twice_of_a_target_that_has_not_changed() -> None:
    own, upstream = FakeEngine(target="own"), FakeEngine(target="upstream")
    upstream.cards = (card("theirs:latest"),)
    async with dispatching(own, upstream) as (_, scheduler):
        before = len(scheduler.events)
        own.announce(ready=True)
        assert len(scheduler.events) == before + 1, "only of the one that spoke"


async def test_a_held_target_gets_nothing_until_it_is_let_go() -> None:
    engine, clock = FakeEngine(slots=1), ManualClock()
    dispatcher = Dispatcher((engine,), clock)
    dispatcher.hold({"fake": "upstream_unchecked"})
    await dispatcher.start_up()
    waiting = asyncio.create_task(run(dispatcher))
    await settled()
    assert (engine.running, dispatcher.waiting(), dispatcher.ready()) == (0, 1, False)
    assert dispatcher.held() == {"fake": "upstream_unchecked"}
    dispatcher.hold({})
    assert dispatcher.held() == {}
    assert [type(event) for event in await waiting] == [Text, Text, Final]
    assert dispatcher.ready()
    await dispatcher.close()


async def test_a_target_held_for_long_is_refused_with_the_reason() -> None:
    engine, clock = FakeEngine(slots=1), ManualClock()
    async with dispatching(engine, clock=clock) as (dispatcher, _):
        dispatcher.hold({"fake": "upstream_open", "unknown": "upstream_open"})
        clock.move(RETURN_GRACE_S + 1)
        for _ in range(2):
            with pytest.raises(NoCapacity, match="upstream_open"):
                await run(dispatcher)
            engine.announce(ready=True)
        with pytest.raises(NoCapacity, match="no_capacity"):
            await run(dispatcher, asked=prepared("other:latest"))
