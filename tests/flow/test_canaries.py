"""An exception in any step tells nobody what the request held: not the log, not the record, not the reply."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.app import log_bug
from gateway.logs import configure_logs
from tests.fakes import FakeEngine
from tests.flow.gates import TestGate

CANARY = "CANARY5d21"
BODY = {"model": "m", "messages": [{"role": "user", "content": f"{CANARY} body"}], "stream": True}
STEPS = {
    0: "gateway.request.check_edge",
    1: "gateway.request.client_address",
    2: "policies.addresses.networks.Networks.require",
    3: "gateway.identity.Identity.allowance",
    4: "gateway.request.read_credential",
    5: "gateway.keys.api_key_verifier.verify_api_key",
    6: "gateway.limits.memory_store.MemoryStore.take",
    7: "gateway.request.parse_object",
    8: "gateway.request.authorize_scope",
    9: "tests.fakes.FakeEngine.prepare",
    10: "gateway.limits.memory_store.MemoryStore.reserve",
    11: "gateway.dispatcher.Dispatcher.admit",
    12: "tests.fakes.FakeEngine.run",
}


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    gate.gate.log_bug = log_bug
    yield gate
    await gate.close()


@pytest.fixture
def log() -> io.StringIO:
    stream = io.StringIO()
    configure_logs(stream, "debug")
    return stream


@pytest.fixture(autouse=True)
def _restore_logs() -> Any:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(("step", "place"), STEPS.items())
async def test_an_exception_in_a_step(
    gate: TestGate, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, step: int, place: str
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        held = f"{CANARY} local {arguments} {named}"
        raise RuntimeError(held)

    key = gate.keys["one"]
    monkeypatch.setattr(place, broken)
    reply, _ = await gate.send("POST", "/api/chat", BODY, headers=(("X-Note", f"{CANARY} header"),))
    assert reply.status == 500, f"step {step}"
    written = log.getvalue()
    assert "RuntimeError" in written
    assert reply.headers["x-request-id"] in written
    for place_of_leak in (written, json.dumps(gate.log.entries), reply.body.decode(), str(reply.headers)):
        assert CANARY not in place_of_leak
        assert key not in place_of_leak
        assert key.split("_")[2] not in place_of_leak
    assert gate.log.events()[-1] == "request.failed"


async def test_an_exception_in_mid_stream(gate: TestGate, log: io.StringIO) -> None:
    assert isinstance(gate.engine, FakeEngine)
    gate.engine.fail["middle"] = RuntimeError(f"{CANARY} middle")
    reply, _ = await gate.send("POST", "/api/chat", BODY)
    assert reply.status == 200
    assert b'"error"' in reply.body.splitlines()[-1]
    assert CANARY not in log.getvalue() + reply.body.decode() + json.dumps(gate.log.entries)
