"""What a caller with a team's key may try on the queue: more than its share, others' slots, others' load, a hang.

One slot unless a test says otherwise; the clock stands still until a test moves it.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SlotTaken, UpstreamFailed, WorkerDied
from gateway import dispatcher, queue_turn, read_ahead
from gateway.scheduling import own_queue
from policies.admission import Queue
from policies.admitting.bands import band_terms
from policies.admitting.effects import Dispatch, Effect
from policies.admitting.events import Arrived, BandsChanged, Began, Ended, Left, QueueEvent, TargetReady, Tick
from policies.admitting.ticket import BandTerms, Bounds, Served, TargetFacts, Ticket
from policies.call import Call, Event, Final, Text, Usage
from policies.policy import Band, Limits, Team
from tests.fakes import FakeReply
from tests.flow.gates import TestGate

OPENAI = "/v1/chat/completions"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
EVENTS = (("X-Queue-Events", "1"),)

Open = Callable[..., Any]


class SlowReply(FakeReply):
    """A client that reads nothing until `reads` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = asyncio.Event()

    async def write(self, data: bytes) -> None:
        await super().write(data)
        await self.reads.wait()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_turn, "POLL_S", 0)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Makes a gate whose engine waits before its last event, and finds at its end that nothing was left behind."""
    gates: list[TestGate] = []

    async def open_gate(slots: int = 1, **policy: Any) -> TestGate:
        one, two = Team(models=("m:latest",), band="interactive"), Team(models=("*",), band="interactive")
        gate = TestGate(tmp_path, **{"teams": {"one": one, "two": two}, **policy})
        gate.engine.slots = slots
        gate.engine.hold = asyncio.Event()
        gates.append(await gate.start())
        return gate

    yield open_gate
    for gate in gates:
        gate.engine.hold.set()
        await settled()
        view = gate.dispatcher.view()
        assert (view.waiting, view.running, gate.running.count(), gate.engine.running) == (0, 0, 0, 0)
        assert gate.dispatcher._turns == {}
        await gate.close()


async def settled() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


async def asked(gate: TestGate, reply: FakeReply | None = None, **how: Any) -> tuple[asyncio.Task[Any], FakeReply]:
    reply = reply or FakeReply()
    task = asyncio.create_task(gate.send("POST", OPENAI, how.pop("body", CHAT), reply=reply, **how))
    await settled()
    return task, reply


def told(gate: TestGate, monkeypatch: pytest.MonkeyPatch) -> list[QueueEvent]:
    """All that the queue hears from now on but its ticks, which come by themselves."""
    heard: list[QueueEvent] = []
    tell = gate.dispatcher.scheduler.tell

    def hear(event: QueueEvent) -> None:
        if not isinstance(event, Tick):
            heard.append(event)
        tell(event)

    monkeypatch.setattr(gate.dispatcher.scheduler, "tell", hear)
    return heard


# ---- slots kept by those who do not read


async def test_a_client_that_does_not_read_keeps_no_slot(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = await opened()
    heard = told(gate, monkeypatch)
    slow = SlowReply()
    stuck, _ = await asked(gate, reply=slow)
    gate.clock.move(1.0)
    gate.engine.hold.set()
    await settled()
    assert not stuck.done()
    assert [type(each) for each in heard] == [Arrived, Began, Ended]
    gate.clock.move(60.0)
    other, reply = await asked(gate, key="two")
    assert (other.done(), reply.headers["x-admission-decision"]) == (True, "admitted")
    slow.reads.set()
    await stuck
    assert (slow.ended, slow.body.count(b"data: ")) == (True, reply.body.count(b"data: "))
    assert gate.log.events().count("request.completed") == 2
    slots = [line for line in gate.metrics.page(gate.dispatcher, {}).decode().splitlines() if "service_slot" in line]
    assert 'corral_service_slot_seconds_total{team="one"} 1.0' in slots


async def test_a_slow_client_is_not_learnt_as_the_pools_pace(opened: Open) -> None:
    gate = await opened()
    gate.engine.hold.set()
    usage = Usage(prompt_tokens=300, output_tokens=300)
    gate.engine.script = [*(Text("a") for _ in range(300)), Final("stop", usage)]
    slow = SlowReply()
    stuck, _ = await asked(gate, reply=slow)
    while gate.dispatcher.view().running:
        await settled()
    gate.clock.move(500.0)
    slow.reads.set()
    await stuck
    [pool] = [each for each in gate.dispatcher.view().pools if each.kind == "chat"]
    assert pool.service_s < 1.0
    assert pool.decode_s_per_token < 0.1


async def test_what_is_read_ahead_is_bounded(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "AHEAD_EVENTS", 4)
    gate = await opened()
    gate.engine.hold.set()
    made = 0

    async def many(_call: Call) -> AsyncIterator[Event]:
        nonlocal made
        for _ in range(50):
            made += 1
            yield Text("a")
        yield Final("stop", Usage(prompt_tokens=3, output_tokens=50))

    gate.engine._events = many
    slow = SlowReply()
    stuck, _ = await asked(gate, reply=slow)
    assert made <= 4 + 2
    slow.reads.set()
    await stuck
    assert (made, slow.ended) == (50, True)


@pytest.mark.parametrize("fault", [WorkerDied("gone"), UpstreamFailed("broken")])
async def test_an_error_comes_after_all_that_was_before_it(opened: Open, fault: Exception) -> None:
    gate = await opened()
    gate.engine.fail["middle"] = fault
    slow = SlowReply()
    stuck, _ = await asked(gate, reply=slow)
    slow.reads.set()
    await stuck
    assert (slow.ended, b"Par" in slow.body, b"is" in slow.body, b"error" in slow.body) == (True, True, True, True)


async def test_a_comment_that_is_not_read_holds_up_no_slot(opened: Open) -> None:
    gate = await opened()
    first, _ = await asked(gate, key="two")
    slow = SlowReply()
    waiting, _ = await asked(gate, reply=slow, headers=EVENTS)
    assert b"queued pos=1" in slow.body
    gate.engine.hold.set()
    await first
    await settled()
    assert len(gate.engine.calls) == 2, "it runs, though its comment was never read"
    assert gate.dispatcher.view().running == 0
    slow.reads.set()
    await waiting
    assert slow.body.endswith(b"data: [DONE]\n\n")


# ---- more than a team's share


def shares(asking_for: tuple[str, ...], *, teams: int = 6, slots: int = 2) -> dict[str, float]:
    """Who gets how much of the slots' time, all of one band and never idle; the first also asks for lower bands."""
    queue, pool = Queue(), ("m", "", "chat")
    bands = tuple(BandTerms(name, share) for name, share in (("high", 0.3), ("mid", 0.3), ("low", 0.1)))
    queue.handle(BandsChanged(bands), 0.0)
    ids, served, ends = itertools.count(1), dict.fromkeys(map(str, range(teams)), 0), list[tuple[float, Ticket]]()

    def carry_out(effects: list[Effect], now_s: float) -> None:
        ends.extend((now_s + 2.0, each.ticket) for each in effects if isinstance(each, Dispatch))

    def come(team: str, band: str, now_s: float) -> None:
        terms = Ticket(
            id=next(ids), model="m", kind="chat", team=team, band=band, own_band="high", arrived_s=now_s, enforced=False
        )
        carry_out(queue.handle(Arrived(terms, Bounds(999, 999)), now_s), now_s)

    carry_out(queue.handle(TargetReady(TargetFacts(id="t", pools=(pool,), slots=slots)), 0.0), 0.0)
    for team, band in [(team, "high") for team in served] + [("0", band) for band in asking_for]:
        for _ in range(4):
            come(team, band, 0.0)
    for _ in range(1200):
        now_s, ticket = ends.pop(0)
        served[ticket.team] += 1
        carry_out(queue.handle(Ended(ticket.id, Served(1, 0, 40)), now_s), now_s)
        come(ticket.team, ticket.band, now_s)
    return {team: count / 1200 for team, count in served.items()}


def test_asking_for_a_lower_band_gains_no_slot_time() -> None:
    """A lower band's guarantee is that of its own teams; the one that asked had 40 % here instead of a sixth."""
    honest, greedy = shares(()), shares(("mid", "low"))
    assert honest["0"] == pytest.approx(1 / 6, abs=0.02)
    assert greedy["0"] <= honest["0"] + 0.01


async def test_asking_for_a_lower_band_takes_none_of_the_slots_kept_for_it(opened: Open) -> None:
    bands = {"interactive": Band(share=0.5), "batch": Band(share=0.5, lends=False)}
    batch = Team(models=("*",), band="batch")
    one = Team(models=("m:latest",), band="interactive")
    gate = await opened(2, teams={"one": one, "two": batch}, bands=bands)
    gate.dispatcher.take_bands(band_terms(gate.policy))
    first, _ = await asked(gate)
    second, reply = await asked(gate, headers=(("X-Priority", "batch"),))
    assert (gate.dispatcher.waiting("one"), len(gate.engine.calls)) == (1, 1)
    kept, _ = await asked(gate, key="two")
    assert len(gate.engine.calls) == 2
    gate.engine.hold.set()
    await asyncio.gather(first, second, kept)
    assert reply.status == 200


# ---- a fault of the queue


async def test_a_tick_that_fails_is_not_the_last(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_queue, "TICK_S", 0)
    gate = await opened()
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
    handle, broken = Queue.handle, [True]

    def fails(self: Queue, event: QueueEvent, now_s: float) -> Any:
        if isinstance(event, Tick) and broken:
            raise ZeroDivisionError(broken.pop())
        return handle(self, event, now_s)

    monkeypatch.setattr(Queue, "handle", fails)
    first, _ = await asked(gate, key="two")
    late, reply = await asked(gate, headers=(("X-Deadline-Ms", "60000"),))
    gate.clock.move(61.0)
    await late
    assert (reply.status, reply.headers["x-admission-reason"]) == (429, "expired_in_queue")
    assert [type(each) for each in faults] == [ZeroDivisionError]
    first.cancel()


@pytest.mark.parametrize("events", [(), EVENTS])
async def test_a_request_the_queue_forgot_is_refused(
    opened: Open, monkeypatch: pytest.MonkeyPatch, events: tuple[tuple[str, str], ...]
) -> None:
    """As after a fault between the queue's decision and its being carried out."""
    monkeypatch.setattr(dispatcher, "SILENCE_S", -59.95)
    gate = await opened()
    first, _ = await asked(gate, key="two")
    waiting, reply = await asked(gate, headers=(*events, ("X-Deadline-Ms", "60000")))
    gate.dispatcher.scheduler._queue.handle(Left(max(gate.dispatcher._turns)), gate.dispatcher.now_s())
    await asyncio.wait_for(waiting, 30)
    assert (reply.status, reply.ended) == (200 if events else 429, True)
    assert (b"expired_in_queue" in reply.body, gate.log.events()[-1]) == (True, "request.shed")
    first.cancel()


@pytest.mark.parametrize("kind", [Arrived, Began, Ended])
async def test_a_fault_of_the_queue_is_an_answer(
    opened: Open, monkeypatch: pytest.MonkeyPatch, kind: type[QueueEvent]
) -> None:
    gate = await opened()
    gate.engine.hold.set()
    handle = Queue.handle

    def fails(self: Queue, event: QueueEvent, now_s: float) -> Any:
        if isinstance(event, kind):
            raise ZeroDivisionError
        return handle(self, event, now_s)

    monkeypatch.setattr(Queue, "handle", fails)
    whole, _ = await gate.send("POST", OPENAI, {**CHAT, "stream": False})
    streamed, _ = await gate.send("POST", OPENAI, CHAT)
    assert (whole.status, whole.ended, streamed.ended) == (500, True, True)
    assert [type(each) for each in gate.bugs] == [ZeroDivisionError] * 2
    assert (len(gate.engine.calls), gate.dispatcher.view().running) == (0 if kind is Arrived else 2, 0)


# ---- leaving anywhere


@pytest.mark.parametrize("headers", [(), EVENTS])
@pytest.mark.parametrize("waits", [True, False])
async def test_leaving_at_any_moment_leaves_nothing(
    opened: Open, headers: tuple[tuple[str, str], ...], *, waits: bool
) -> None:
    """No slot, no place, and none of the two requests that the team may have at once."""
    team = Team(models=("*",), limits=Limits(concurrent_requests=2))
    gate = await opened(teams={"one": team, "two": team})
    first = (await asked(gate, key="two"))[0] if waits else None
    for steps in range(45):
        task = asyncio.create_task(gate.send("POST", OPENAI, CHAT, headers=headers))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await settled()
        view = gate.dispatcher.view()
        assert (view.waiting, view.running, gate.engine.running) == (0, int(waits), int(waits))
    gate.engine.hold.set()
    assert [(await asked(gate))[1].status for _ in range(3)] == [200] * 3
    assert first is None or first.done()


async def test_a_storm_of_taken_slots_ends(opened: Open) -> None:
    gate = await opened()
    gate.engine.fail["start"] = SlotTaken("taken")
    waiting, reply = await asked(gate, headers=(*EVENTS, ("X-Deadline-Ms", "60000")))
    for _ in range(70):
        gate.clock.move(1.0)
        gate.dispatcher.tell(Tick())
        await settled()
    await waiting
    assert (b"expired_in_queue" in reply.body or reply.status == 429, len(gate.engine.calls)) == (True, 0)
    assert len(gate.engine.fences) <= 61


# ---- the record comes first


async def test_a_refusal_inside_a_stream_is_recorded_before_it_is_told(opened: Open) -> None:
    gate = await opened()
    first, _ = await asked(gate, key="two")
    waiting, reply = await asked(gate, headers=(*EVENTS, ("X-Deadline-Ms", "60000")))
    gate.log.broken = True
    gate.clock.move(61.0)
    gate.dispatcher.tell(Tick())
    await waiting
    assert (b"expired_in_queue" in reply.body, reply.ended) == (False, True)
    assert "request.shed" not in gate.log.events()
    gate.log.broken = False
    first.cancel()
