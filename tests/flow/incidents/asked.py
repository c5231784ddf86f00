"""What the incidents have in common: a gate with one team, plain requests, and what a route or field must not do."""

from typing import Any

from policies.call import Call
from tests.fakes import FakeReply
from tests.flow.gates import TestGate

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
MARK = "CANARY77"


def plain_body(path: str) -> dict[str, Any]:
    """A valid request for each route that works."""
    body: dict[str, Any] = {"model": "m"}
    if path in (CHAT, "/api/chat"):
        return body | {"messages": [{"role": "user", "content": "hello"}]}
    return body | ({"input": "hello"} if "embed" in path else {"prompt": "hello"})


async def call_of(gate: TestGate, path: str, body: dict[str, Any]) -> tuple[FakeReply, Call | None]:
    """The reply, and what reached the engine (None: nothing did)."""
    gate.engine.calls.clear()
    reply, _ = await gate.send("POST", path, body)
    assert not gate.bugs
    return reply, gate.engine.calls[0] if gate.engine.calls else None


async def demand_no_effect(gate: TestGate, path: str, fields: dict[str, Any]) -> None:
    """`fields` beside a valid request change nothing of what reaches the engine."""
    _, plain = await call_of(gate, path, plain_body(path))
    reply, call = await call_of(gate, path, plain_body(path) | fields)
    assert reply.status == 200, reply.body
    assert call == plain


async def demand_refused(gate: TestGate, path: str, fields: dict[str, Any], *statuses: int) -> FakeReply:
    """`fields` beside a valid request are refused, with 400 or one of `statuses`; nothing reaches the engine."""
    reply, call = await call_of(gate, path, plain_body(path) | fields)
    assert reply.status in (statuses or (400,)), reply.body
    assert call is None
    return reply


async def demand_no_route(gate: TestGate, method: str, target: str, body: Any = None) -> None:
    """On both listeners: nothing there for a key, 401 for anybody else, and the body is never asked for."""
    for listener in ("public", "admin"):
        known, request = await gate.send(method, target, body, listener=listener)
        assert known.status in (404, 405), known.body
        assert not request.body_read
        stranger, request = await gate.send(method, target, body, key=None, listener=listener)
        assert stranger.status == 401
        assert not request.body_read
    assert not gate.engine.calls
