"""The dispatcher carries out effects: turns, refusals, cancellation, and slots that were taken."""

import asyncio
from contextlib import aclosing

import pytest

from engine.errors import SlotTaken
from engine.interface import Prepared, TargetState
from gateway.dispatcher import Dispatcher
from policies.admission import RETURN_GRACE_S, Bounds
from policies.call import Call, Event, Final, Text
from policies.errors import NoCapacity, Overloaded
from tests.fakes import FakeEngine, ManualClock, card

BOUNDS = Bounds(total=2, team=2)
targets: list[str] = []


def prepared(model: str = "m:latest") -> Prepared:
    return Prepared(call=Call(kind="chat", model=model), prompt_tokens=1, max_output_tokens=4)


async def started(engine: FakeEngine, clock: ManualClock | None = None) -> Dispatcher:
    dispatcher = Dispatcher((engine,), clock or ManualClock())
    await dispatcher.start_up()
    return dispatcher


async def run(dispatcher: Dispatcher, max_wait_s: float = 60.0) -> list[Event]:
    async with (
        dispatcher.admit(prepared(), "a", BOUNDS, max_wait_s, targets.append) as admission,
        aclosing(admission.events()) as events,
    ):
        return [event async for event in events]


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_request_runs_to_its_end_and_frees_its_slot() -> None:
    engine = FakeEngine(slots=1)
    dispatcher = await started(engine)
    for _ in range(3):
        events = await run(dispatcher)
        assert [type(event) for event in events] == [Text, Text, Final]
    assert dispatcher.targets()[0].running == 0
    await dispatcher.close()


async def test_requests_beyond_the_slots_wait_their_turn() -> None:
    engine = FakeEngine(slots=1)
    engine.hold = asyncio.Event()
    dispatcher = await started(engine)
    tasks = [asyncio.create_task(run(dispatcher)) for _ in range(3)]
    await settled()
    assert (engine.running, dispatcher.waiting(), dispatcher.waiting("a")) == (1, 2, 2)
    with pytest.raises(Overloaded, match="queue_full"):
        await run(dispatcher)
    engine.hold.set()
    assert len(await asyncio.gather(*tasks)) == 3
    await dispatcher.close()


async def test_one_who_leaves_frees_place_and_slot_at_once() -> None:
    engine = FakeEngine(slots=1)
    engine.hold = asyncio.Event()
    dispatcher = await started(engine)
    running, waiting = (asyncio.create_task(run(dispatcher)) for _ in range(2))
    await settled()
    waiting.cancel()
    await settled()
    assert dispatcher.waiting() == 0
    running.cancel()
    await settled()
    assert (engine.running, engine.cancelled, dispatcher.targets()[0].running) == (0, 1, 0)
    await dispatcher.close()


async def test_a_taken_slot_sends_the_request_back_to_its_place() -> None:
    engine = FakeEngine(slots=1)
    dispatcher = await started(engine)
    targets.clear()
    engine.fail["start"] = SlotTaken("full")
    task = asyncio.create_task(run(dispatcher))
    await settled()
    assert dispatcher.waiting() == 1
    del engine.fail["start"]
    engine.report(busy_slots=0)
    assert len(await task) == 3
    assert targets == ["fake", "fake"], "each dispatch is told"
    await dispatcher.close()


async def test_an_unknown_model_has_no_capacity() -> None:
    dispatcher = await started(FakeEngine())
    with pytest.raises(NoCapacity):
        async with dispatcher.admit(prepared("other:latest"), "a", BOUNDS, 1.0, print):
            pass
    await dispatcher.close()


async def test_waiting_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dispatcher.TICK_S", 0)
    clock = ManualClock()
    engine = FakeEngine(slots=1)
    engine.hold = asyncio.Event()
    dispatcher = await started(engine, clock)
    first = asyncio.create_task(run(dispatcher))
    await settled()
    second = asyncio.create_task(run(dispatcher, max_wait_s=5.0))
    await settled()
    clock.move(5.0)
    with pytest.raises(Overloaded, match="expired_in_queue"):
        await second
    engine.hold.set()
    await first
    await dispatcher.close()


async def test_readiness_and_reports_follow_the_engine() -> None:
    reports: list[str] = []
    engine = FakeEngine()
    dispatcher = Dispatcher((engine,), ManualClock(), lambda target, _: reports.append(target))
    await dispatcher.start_up()
    assert dispatcher.ready()
    engine.announce(ready=False)
    assert not dispatcher.ready()
    engine.report(busy_slots=1)
    assert reports == ["fake"]
    await dispatcher.close()


async def test_an_engine_that_lists_anothers_model_never_gets_its_prompts() -> None:
    own, upstream = FakeEngine(slots=1, target="own"), FakeEngine(slots=9, target="upstream")
    upstream.cards = (card("m:latest"), card("theirs:latest"))
    dispatcher = Dispatcher((own, upstream), ManualClock())
    await dispatcher.start_up()
    for _ in range(3):
        await run(dispatcher)
    assert (len(own.calls), len(upstream.calls)) == (3, 0)
    async with (
        dispatcher.admit(prepared("theirs:latest"), "a", BOUNDS, 1.0, print) as admission,
        aclosing(admission.events()) as events,
    ):
        assert len([event async for event in events]) == 3
    assert len(upstream.calls) == 1
    await dispatcher.close()


async def test_ready_means_that_text_can_be_made_where_any_target_makes_it() -> None:
    engine = FakeEngine()
    dispatcher = await started(engine)
    vectors = TargetState(target="vectors", models=("m:latest",), kinds=("embedding",), slots=1, ready=True)
    engine.announce(ready=False)
    dispatcher.target_changed(engine, vectors)
    assert not dispatcher.ready()
    engine.announce(ready=True)
    assert dispatcher.ready()
    alone = Dispatcher((engine,), ManualClock())
    alone.target_changed(engine, vectors)
    assert alone.ready()
    await dispatcher.close()


async def test_a_held_target_gets_nothing_until_it_is_let_go() -> None:
    engine, clock = FakeEngine(slots=1), ManualClock()
    dispatcher = Dispatcher((engine,), clock)
    dispatcher.hold({"fake": "upstream_unchecked"})
    await dispatcher.start_up()
    waiting = asyncio.create_task(run(dispatcher))
    await settled()
    assert (engine.running, dispatcher.waiting(), dispatcher.ready()) == (0, 1, False)
    dispatcher.hold({})
    assert [type(event) for event in await waiting] == [Text, Text, Final]
    assert dispatcher.ready()
    await dispatcher.close()


async def test_a_target_held_for_long_is_refused_with_the_reason() -> None:
    engine, clock = FakeEngine(slots=1), ManualClock()
    dispatcher = await started(engine, clock)
    dispatcher.hold({"fake": "upstream_open", "unknown": "upstream_open"})
    clock.move(RETURN_GRACE_S + 1)
    with pytest.raises(NoCapacity, match="upstream_open"):
        await run(dispatcher)
    dispatcher.target_changed(engine, dispatcher._announced["fake"])
    with pytest.raises(NoCapacity, match="upstream_open"):
        await run(dispatcher)
    with pytest.raises(NoCapacity, match="no_capacity"):
        async with dispatcher.admit(prepared("other:latest"), "a", BOUNDS, 60.0, targets.append):
            pass
    await dispatcher.close()
