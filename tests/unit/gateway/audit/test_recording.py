"""Invariant: who stops waiting for a record does not take it back, and who waits hears what became of it."""

import asyncio

import pytest

from gateway.audit.recording import Recording
from policies.errors import AuditUnavailable


async def test_a_lasting_record_is_waited_for() -> None:
    done = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(Recording(done).lasting())
    await asyncio.sleep(0)
    assert not waiting.done()
    done.set_result(None)
    await waiting


async def test_who_stops_waiting_leaves_the_record_on_its_way() -> None:
    done = asyncio.get_running_loop().create_future()
    recording = Recording(done)
    waiting = asyncio.create_task(recording.lasting())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not done.cancelled()
    done.set_result(None)
    await recording.lasting()


async def test_a_failure_is_raised_to_who_waits_and_to_nobody_else() -> None:
    done = asyncio.get_running_loop().create_future()
    recording = Recording(done)
    done.set_exception(AuditUnavailable("audit_eio"))
    await recording.settled()
    with pytest.raises(AuditUnavailable):
        await recording.lasting()


async def test_a_cancelled_record_is_settled() -> None:
    done = asyncio.get_running_loop().create_future()
    recording = Recording(done)
    done.cancel()
    await recording.settled()
