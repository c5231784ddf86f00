"""What the log asks of the request flow: what is waited for, what is counted only, and in which order."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.request_audit import RequestAudit
from policies.audit_record import Entry
from policies.auditing.refusal_sampling import RefusalSampling
from tests.fakes import STAMP, MemoryLog
from tests.flow.gates import TestGate

CHAT = {"model": "m:latest", "messages": [{"role": "user", "content": "hi"}], "stream": False}


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    yield gate
    await gate.close()


class SlowLog(MemoryLog):
    """Holds back the records of some events until they are let through."""

    def __init__(self, *held: str) -> None:
        super().__init__()
        self.held = held
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    def submit(self, entry: Entry, *, needed: bool = False) -> asyncio.Future[None]:
        if entry["event"] not in self.held:
            return super().submit(entry, needed=needed)
        self.asked.set()
        return asyncio.ensure_future(self._later(entry))

    async def _later(self, entry: Entry) -> None:
        await self.let.wait()
        self.entries.append(entry)


def audited(gate: TestGate, log: MemoryLog, **options: Any) -> MemoryLog:
    gate.log = log
    gate.gate.audit = RequestAudit(log, lambda: STAMP, policy_hash=lambda: "p" * 64, **options)
    return log


@pytest.mark.parametrize("sent", [1, 50])
async def test_a_flood_of_refusals_is_counted_and_each_is_answered(gate: TestGate, sent: int) -> None:
    sampling = RefusalSampling(3)
    audited(gate, gate.log, sampling=sampling)
    replies = [(await gate.send("GET", "/api/tags", key=None))[0] for _ in range(sent)]
    assert {reply.status for reply in replies} == {401}
    assert len(gate.log.entries) == min(sent, 3)
    assert sum(sample.count for sample in sampling.collect()) == sent - min(sent, 3)


async def test_what_was_authorized_always_has_its_end_recorded(gate: TestGate) -> None:
    audited(gate, gate.log, sampling=RefusalSampling(0))
    gate.engine.fail["start"] = RuntimeError("bug")
    for _ in range(3):
        await gate.send("POST", "/api/chat", CHAT)
    assert gate.log.events() == ["request.authorized", "request.failed"] * 3


async def test_nothing_runs_before_its_authorization_is_lasting(gate: TestGate) -> None:
    log = SlowLog("request.authorized")
    audited(gate, log)
    task = asyncio.create_task(gate.send("POST", "/api/chat", CHAT))
    await log.asked.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert gate.engine.calls == []
    assert gate.dispatcher.targets()[0].running == 1, "it waited in the queue meanwhile"
    log.let.set()
    reply, _ = await task
    assert reply.status == 200
    assert log.events() == ["request.authorized", "request.completed"]


async def test_an_end_never_stands_before_its_beginning(gate: TestGate) -> None:
    log = SlowLog("request.authorized")
    audited(gate, log)
    task = asyncio.create_task(gate.send("POST", "/api/chat", CHAT))
    await log.asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    log.let.set()
    await gate.gate.audit.close()
    assert log.events() == ["request.authorized", "request.aborted"]


@pytest.mark.parametrize("early", [True, False])
async def test_only_where_it_may_an_answer_ends_before_its_record(gate: TestGate, *, early: bool) -> None:
    log = SlowLog("request.completed")
    audited(gate, log, may_answer_early=lambda: early)
    task = asyncio.create_task(gate.send("POST", "/api/chat", CHAT))
    await log.asked.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert task.done() is early
    log.let.set()
    reply, _ = await task
    await gate.gate.audit.close()
    assert reply.status == 200
    assert log.events() == ["request.authorized", "request.completed"]


async def test_a_record_that_fails_after_an_early_answer_breaks_nothing(gate: TestGate) -> None:
    audited(gate, gate.log, may_answer_early=lambda: True)
    recorded = gate.log.submit

    def breaks(entry: Entry, *, needed: bool = False) -> asyncio.Future[None]:
        gate.log.broken = entry["event"] == "request.completed"
        return recorded(entry, needed=needed)

    gate.log.submit = breaks  # type: ignore[method-assign]
    reply, _ = await gate.send("POST", "/api/chat", CHAT)
    await gate.gate.audit.close()
    assert reply.status == 200
