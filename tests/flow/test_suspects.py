"""A request that ended its worker twice: what its caller is told in each dialect, and what the log says."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.interface import Prepared
from policies.suspects import DEATHS, REFUSAL_S
from tests.flow.gates import TestGate

OLLAMA, OPENAI = "/api/chat", "/v1/chat/completions"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    yield gate
    assert gate.bugs == []
    await gate.close()


async def killer(gate: TestGate, target: str) -> Prepared:
    """What the worker got for the request, which it answered then."""
    reply, _ = await gate.send("POST", target, CHAT)
    assert reply.status == 200
    return await gate.engine.prepare(gate.engine.calls[-1])


@pytest.mark.parametrize("target", [OLLAMA, OPENAI])
async def test_it_is_refused_by_a_code_that_no_client_retries(gate: TestGate, target: str) -> None:
    prepared = await killer(gate, target)
    assert gate.engine.observer is not None
    gate.engine.observer.target_died("fake", (prepared,), alone=False)
    gate.engine.observer.target_died("fake", (prepared,), alone=True)
    reply, _ = await gate.send("POST", target, CHAT)
    assert reply.status == 422
    assert reply.headers["x-admission-reason"] == "request_kills_worker"
    assert "retry-after" not in reply.headers
    told: Any = json.loads(reply.body)["error"]
    if target == OPENAI:
        assert (told["code"], told["reason"]) == ("request_kills_worker", "request_kills_worker")
        told = told["message"]
    assert "ended the process of its model each time it ran" in told
    last = gate.log.entries[-1]
    assert (last["event"], last["decision"]["reason"]) == ("request.denied", "request_kills_worker")
    assert len(gate.engine.calls) == 1
    assert gate.dispatcher.targets()[0].running == 0


async def test_another_request_is_served_meanwhile(gate: TestGate) -> None:
    prepared = await killer(gate, OPENAI)
    assert gate.engine.observer is not None
    for alone in (False, True):
        gate.engine.observer.target_died("fake", (prepared,), alone=alone)
    reply, _ = await gate.send("POST", OPENAI, CHAT | {"temperature": 0.1})
    assert reply.status == 200


@pytest.mark.parametrize("target", [OLLAMA, OPENAI])
async def test_a_key_whose_every_new_request_kills_is_told_when_to_come_back(gate: TestGate, target: str) -> None:
    assert gate.engine.observer is not None
    for number in range(DEATHS + 1):
        reply, _ = await gate.send("POST", target, CHAT | {"messages": [{"role": "user", "content": f"{number}"}]})
        assert reply.status == 200
        prepared = await gate.engine.prepare(gate.engine.calls[-1])
        deadly = msgspec.structs.replace(prepared, prompt_ids=((number,),))
        gate.engine.observer.target_died("fake", (deadly,), alone=True)
    reply, _ = await gate.send("POST", target, CHAT)
    assert (reply.status, reply.headers["retry-after"]) == (429, f"{REFUSAL_S:.0f}")
    assert reply.headers["x-admission-reason"] == "caller_kills_workers"
    assert reply.headers["x-should-retry"] == "false"
    told: Any = json.loads(reply.body)["error"]
    assert "try again in 10 minutes" in (told if target == OLLAMA else told["message"])
    last = gate.log.entries[-1]
    assert (last["event"], last["decision"]["reason"]) == ("request.denied", "caller_kills_workers")
    assert gate.engine.calls[-1].caller.startswith("key:")
