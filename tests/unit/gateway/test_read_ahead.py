"""Events are taken as they come and read when somebody has time; order, errors and bounds hold."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine.errors import WorkerDied
from gateway import read_ahead as module
from gateway.read_ahead import read_ahead
from policies.call import Event, Text

ALL = [Text(str(number)) for number in range(20)]


class Source:
    """Gives `ALL`, then its error; knows how many were taken and whether it was left."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken = 0
        self.left = False
        self._error = error

    async def events(self) -> AsyncIterator[Event]:
        try:
            for event in ALL:
                self.taken += 1
                yield event
            if self._error is not None:
                raise self._error
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.left = True
            raise


async def settled() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


async def test_all_of_it_in_order() -> None:
    async with read_ahead(Source().events()) as events:
        assert [event async for event in events] == ALL


async def test_who_keeps_up_reads_each_before_the_next_is_taken() -> None:
    source = Source()
    async with read_ahead(source.events()) as events:
        assert [source.taken async for _ in events] == list(range(1, 21))


async def test_it_is_taken_while_nobody_reads() -> None:
    source = Source()
    async with read_ahead(source.events()) as events:
        await settled()
        assert source.taken == 20
        assert [event async for event in events] == ALL


async def test_no_more_is_taken_than_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AHEAD_EVENTS", 4)
    source = Source()
    async with read_ahead(source.events()) as events:
        await settled()
        assert source.taken == 4
        assert [event async for event in events] == ALL


async def test_an_error_comes_after_what_was_before_it() -> None:
    async with read_ahead(Source(WorkerDied("gone")).events()) as events:
        await settled()
        assert [await anext(events) for _ in ALL] == ALL
        with pytest.raises(WorkerDied):
            await anext(events)


async def test_leaving_ends_the_taking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AHEAD_EVENTS", 4)
    source = Source(WorkerDied("unheard"))
    async with read_ahead(source.events()):
        await asyncio.sleep(0)
    assert source.taken < 20
