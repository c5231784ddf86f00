"""The queue of a gateway that decides alone: events in, effects carried out in order, a tick."""

import asyncio
from collections.abc import Iterable

import pytest

from gateway.scheduling.own_queue import OwnQueue
from policies.admission import Queue
from policies.admitting.effects import Dispatch, Effect, Refuse, Waits
from policies.admitting.events import Arrived, TargetReady
from tests.fakes import ManualClock
from tests.unit.policies.queue_driver import WIDE, facts, ticket


def own_queue() -> tuple[OwnQueue, list[Effect], ManualClock]:
    carried: list[Effect] = []
    clock = ManualClock()

    def carry_out(effects: Iterable[Effect]) -> None:
        carried.extend(effects)

    return OwnQueue(clock, carry_out), carried, clock


async def test_what_is_told_is_decided_and_carried_out_at_once() -> None:
    queue, carried, clock = own_queue()
    now_s = clock.mono_ns() / 1e9
    queue.tell(TargetReady(facts()))
    queue.tell(Arrived(ticket(1, arrived_s=now_s), WIDE))
    queue.tell(Arrived(ticket(2, arrived_s=now_s), WIDE))
    assert [type(each) for each in carried] == [Dispatch, Waits]
    assert (queue.waiting(), queue.waiting("a"), queue.waiting("b")) == (1, 1, 0)
    assert queue.forecast(2).position == 1
    assert [each.running for each in queue.targets()] == [1]
    assert (queue.view().waiting, queue.view().running) == (1, 1)
    assert sum(queue.decision_times.counts) == 3


async def test_it_ticks_from_its_start_to_its_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.scheduling.own_queue.TICK_S", 0)
    queue, carried, clock = own_queue()
    queue.tell(TargetReady(facts()))
    now_s = clock.mono_ns() / 1e9
    for number in (1, 2):
        queue.tell(Arrived(ticket(number, arrived_s=now_s, expires_s=now_s + 60.0), WIDE))
    await queue.start()
    clock.move(60.0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert isinstance(carried[-1], Refuse)
    await queue.close()
    told = sum(queue.decision_times.counts)
    for _ in range(5):
        await asyncio.sleep(0)
    assert sum(queue.decision_times.counts) == told


async def test_one_that_never_began_can_be_closed_and_a_queue_can_be_handed_over() -> None:
    clock, known = ManualClock(), Queue()
    known.handle(TargetReady(facts()), 0.0)
    queue = OwnQueue(clock, lambda _: None, known)
    assert len(queue.targets()) == 1
    await queue.close()
