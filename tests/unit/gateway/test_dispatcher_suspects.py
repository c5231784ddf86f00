"""What the dispatcher does with requests that may have ended a worker: alone, cleared, or refused."""

import asyncio
from typing import Any

import pytest

from engine.errors import WorkerDied
from engine.interface import Prepared
from policies.admitting.events import Arrived
from policies.call import Call, Final, Text
from policies.errors import RequestKillsWorker
from tests.fakes import FakeEngine
from tests.unit.gateway.test_dispatcher import Heard, Watched, busy, dispatching, run, settled


def asked(number: int) -> Prepared:
    call = Call(kind="chat", model="m:latest")
    return Prepared(call=call, prompt_tokens=1, prompt_ids=((number,),), max_output_tokens=4)


def die(engine: FakeEngine, *batch: Prepared, alone: bool = False) -> None:
    """The worker dies and is back at once."""
    assert engine.observer is not None
    engine.observer.target_died(engine.target, batch, alone=alone)


def alone_of(scheduler: Watched) -> list[bool]:
    return [event.ticket.alone for event in scheduler.events if isinstance(event, Arrived)]


async def test_a_suspect_runs_alone_and_is_cleared_by_ending_well() -> None:
    engine = FakeEngine(slots=2)
    async with dispatching(engine) as (dispatcher, scheduler):
        die(engine, asked(1), asked(2))
        for number in (1, 1, 3):
            assert isinstance((await run(dispatcher, asked=asked(number)))[-1], Final)
        assert alone_of(scheduler) == [True, False, False]
        assert dispatcher.suspects.counts() == {"suspects": 1, "refused": 0}


async def test_what_runs_alone_and_kills_again_is_refused_before_it_is_queued() -> None:
    engine = FakeEngine(slots=2)
    async with dispatching(engine) as (dispatcher, scheduler):
        die(engine, asked(1))
        engine.fail["middle"] = WorkerDied("connection_lost")
        with pytest.raises(WorkerDied):
            await run(dispatcher, asked=asked(1))
        die(engine, asked(1), alone=True)
        with pytest.raises(RequestKillsWorker):
            await run(dispatcher, asked=asked(1))
        assert alone_of(scheduler) == [True]
        assert dispatcher.targets()[0].running == 0


async def test_one_that_waited_while_its_like_killed_goes_back_to_run_alone() -> None:
    engine = busy()
    async with dispatching(engine) as (dispatcher, scheduler):
        first = asyncio.create_task(run(dispatcher, asked=asked(1)))
        await settled()
        heard = Heard()
        second = asyncio.create_task(run(dispatcher, heard=heard, asked=asked(2)))
        await settled()
        die(engine, asked(2))
        assert engine.hold is not None
        engine.hold.set()
        assert [type(event) for event in await second] == [Text, Text, Final]
        await first
        assert alone_of(scheduler) == [False, False, True]
        assert heard.targets == ["fake"], "it ran once"
        assert dispatcher.suspects.counts() == {"suspects": 0, "refused": 0}


async def test_one_that_waited_while_its_like_was_found_out_is_refused_at_its_turn() -> None:
    engine = busy()
    async with dispatching(engine) as (dispatcher, _):
        first = asyncio.create_task(run(dispatcher, asked=asked(1)))
        await settled()
        second = asyncio.create_task(run(dispatcher, asked=asked(2)))
        await settled()
        die(engine, asked(2))
        die(engine, asked(2), alone=True)
        assert engine.hold is not None
        engine.hold.set()
        with pytest.raises(RequestKillsWorker):
            await second
        await first
        assert len(engine.calls) == 1
        assert dispatcher.targets()[0].running == 0


async def test_a_suspect_that_leaves_early_stays_one() -> None:
    engine = busy(2)
    async with dispatching(engine) as (dispatcher, _):
        die(engine, asked(1))
        task: asyncio.Task[list[Any]] = asyncio.create_task(run(dispatcher, asked=asked(1)))
        await settled()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert dispatcher.suspects.counts() == {"suspects": 1, "refused": 0}
