"""The Ollama adapter over a fake HTTP client: listing, streaming, and what its errors become."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from engine.errors import EngineError, ModelNotReady, PrepareFailed, SlotTaken, UpstreamFailed
from engine.interface import Prepared, StepReport, TargetState
from gateway.configuration.settings import UpstreamSettings
from gateway.outbound import OutboundFault, OutboundRefused
from gateway.upstreams import ollama
from gateway.upstreams.ollama import OllamaUpstream
from policies.call import Call, Event, Final, Message, Text, Tool, ToolCall

TAGS = {
    "models": [
        {"name": "m:latest", "digest": "sha256:aa", "size": 1, "modified_at": "2026-01-01T00:00:00Z"},
        {"name": "far:latest", "digest": "bb", "remote_host": "somewhere.example"},
        {"name": "hf.co/someone/else:latest", "digest": "cc"},
        {"name": "big:480b-cloud", "digest": "dd"},
    ]
}
SHOW = {"model_info": {"general.architecture": "llama"}, "template": "T", "capabilities": ["completion", "tools"]}
CALL = Call(kind="chat", model="m:latest", messages=(Message("user", "x" * 40),), max_output_tokens=5)


class FakeOutbound:
    """Answers by path; `fault` is raised instead of any answer."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"/api/tags": TAGS, "/api/show": SHOW}
        self.stream: list[bytes] = []
        self.fault: Exception | None = None
        self.asked: list[tuple[str, Any]] = []
        self.open = 0

    async def close(self) -> None:
        self.open = -1

    async def fetch(self, method: str, path: str, body: bytes | None = None, *, total_s: float = 0.0) -> bytes:
        assert total_s > 0, "nothing may keep the list of models waiting for ever"
        self.asked.append((path, body))
        if self.fault is not None:
            raise self.fault
        answer = self.answers[path]
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    @contextlib.asynccontextmanager
    async def lines(self, path: str, body: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append((path, json.loads(body)))
        if self.fault is not None:
            raise self.fault
        self.open += 1
        try:
            yield self._lines()
        finally:
            self.open -= 1

    async def _lines(self) -> AsyncIterator[bytes]:
        for line in self.stream:
            yield line


class Reports:
    def __init__(self) -> None:
        self.states: list[TargetState] = []
        self.steps: list[StepReport] = []

    def target_changed(self, state: TargetState) -> None:
        self.states.append(state)

    def step_reported(self, target: str, report: StepReport) -> None:
        assert target == "upstream:lab"
        self.steps.append(report)

    def target_died(self, target: str, batch: tuple[Prepared, ...], *, alone: bool) -> None:
        raise AssertionError("an upstream's process is its own affair")


def upstream(outbound: FakeOutbound, **settings: Any) -> OllamaUpstream:
    return OllamaUpstream(UpstreamSettings(name="lab", kind="ollama", url="http://127.0.0.1:1", **settings), outbound)  # type: ignore[arg-type]


async def listed(engine: OllamaUpstream, reports: Reports) -> None:
    """Started, and the first listing over."""
    await engine.start_up(reports)
    for _ in range(20):
        await asyncio.sleep(0)


async def events(engine: OllamaUpstream, call: Call = CALL) -> list[Event]:
    prepared = await engine.prepare(call)
    async with engine.run("upstream:lab", prepared) as stream:
        return [event async for event in stream]


async def test_models_are_listed_with_their_capabilities_and_never_from_a_cloud() -> None:
    outbound, reports = FakeOutbound(), Reports()
    engine = upstream(outbound)
    assert not engine.has_listed
    await listed(engine, reports)
    assert engine.has_listed
    [card] = engine.models()
    assert (card.name, card.capabilities, card.slots) == ("m:latest", ("completion", "tools"), 4)
    assert [state.ready for state in reports.states] == [False, True]
    assert reports.states[-1].models == ("m:latest",)
    assert (await engine.describe("m:latest")).template == "T"
    await engine.close()
    assert outbound.open == -1


async def test_a_configured_list_narrows() -> None:
    engine = upstream(FakeOutbound(), models=("other:latest",))
    reports = Reports()
    await listed(engine, reports)
    assert engine.models() == ()
    assert reports.states[-1].ready is False
    await engine.close()


async def test_an_upstream_that_is_away_is_a_lost_target_and_comes_back() -> None:
    outbound, reports = FakeOutbound(), Reports()
    outbound.fault = OutboundFault("ClientConnectorError")
    engine = upstream(outbound)
    await listed(engine, reports)
    assert {state.ready for state in reports.states} == {False}
    assert not engine.has_listed, "it may start together with this gateway"
    loop, giving_up = asyncio.get_running_loop(), engine._giving_up
    assert giving_up is not None
    assert 0 < giving_up.when() - loop.time() <= ollama.LISTED_WITHIN_S
    giving_up._run()
    assert engine.has_listed, "one that stays away makes nothing uncertain for good"
    outbound.fault = None
    await engine._refresh()
    assert reports.states[-1].ready
    await engine.close()


async def test_a_stream_is_translated_and_reported() -> None:
    outbound, reports = FakeOutbound(), Reports()
    engine = upstream(outbound)
    await listed(engine, reports)
    outbound.stream = [
        b'{"message":{"content":"Par"},"done":false}',
        b'{"message":{"content":"is"},"done":true,"done_reason":"stop","prompt_eval_count":20,"eval_count":2}',
    ]
    found = await events(engine)
    assert found[:2] == [Text("Par"), Text("is")]
    assert isinstance(found[2], Final)
    assert reports.steps[-1].output_tokens == 2
    assert outbound.open == 0
    path, body = outbound.asked[-1]
    assert (path, body["options"]["num_predict"]) == ("/api/chat", 5)
    await engine.close()


async def test_the_estimate_learns() -> None:
    outbound = FakeOutbound()
    engine = upstream(outbound)
    first = (await engine.prepare(CALL)).prompt_tokens
    outbound.stream = [b'{"done":true,"prompt_eval_count":40,"eval_count":1}']
    for _ in range(40):
        await events(engine)
    assert (first, (await engine.prepare(CALL)).prompt_tokens) == (10, pytest.approx(40, abs=3))
    assert (await engine.prepare(CALL)).estimated


@pytest.mark.parametrize(
    "more",
    [
        {"tools": (Tool("t", "x" * 4000),)},
        {"messages": (Message("assistant", reasoning="x" * 4000),)},
        {"messages": (Message("assistant", tool_calls=(ToolCall("1", "t", {"a": "x" * 4000}),)),)},
        {"messages": (Message("user", images=(b"x",)),)},
        {"images": (b"x",)},
        {"context": tuple(range(1000))},
    ],
)
async def test_nothing_that_the_model_reads_is_left_out_of_the_estimate(more: dict[str, Any]) -> None:
    call = structs.replace(CALL, **more)
    assert (await upstream(FakeOutbound()).prepare(call)).prompt_tokens >= 1000


async def test_one_callers_blanks_do_not_make_the_others_prompts_look_free() -> None:
    outbound = FakeOutbound()
    engine = upstream(outbound)
    outbound.stream = [b'{"done":true,"prompt_eval_count":1,"eval_count":1}']
    for _ in range(40):
        await events(engine)
    assert (await engine.prepare(CALL)).prompt_tokens == 10


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (OutboundRefused(503, b"secret"), SlotTaken),
        (OutboundRefused(404, b"secret"), ModelNotReady),
        (OutboundRefused(400, b"secret"), PrepareFailed),
        (OutboundRefused(401, b"secret"), UpstreamFailed),
        (OutboundRefused(500, b"secret"), UpstreamFailed),
        (OutboundFault("TimeoutError"), UpstreamFailed),
    ],
)
async def test_what_the_server_says_in_an_error_stays_here(fault: Exception, error: type[EngineError]) -> None:
    outbound = FakeOutbound()
    outbound.fault = fault
    engine = upstream(outbound)
    with pytest.raises(error) as caught:
        await events(engine)
    assert "secret" not in str(caught.value)
    assert "secret" not in getattr(caught.value, "text", "")


HOSTILE_LINES = {
    "empty": b"",
    "html": b"<html>",
    "type": b'{"message":1}',
    "error": b'{"error":"secret"}',
    "negative": b'{"done":true,"eval_count":-5}',
    "huge": b'{"done":true,"eval_duration":%d}' % 10**400,
    "fraction": b'{"done":true,"prompt_eval_count":0.5}',
    "overflow": b'{"embeddings":[[1e400]]}',
    "surrogate": b'{"response":"\\ud800"}',
    "no byte": b'{"logprobs":[{"token":"a","logprob":0,"bytes":[256]}]}',
    "deep": b'{"message":{"tool_calls":[{"function":{"arguments":{"a":' + b"[" * 100_000,
    "deep logprobs": b'{"logprobs":[' + b'{"token":"","logprob":0,"top_logprobs":[' * 5000,
}


@pytest.mark.parametrize("line", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
async def test_lines_that_are_no_answer_fail_the_stream(line: bytes) -> None:
    outbound = FakeOutbound()
    outbound.stream = [line]
    with pytest.raises(UpstreamFailed):
        await events(upstream(outbound))


async def test_a_listing_that_breaks_parsers_is_a_lost_target() -> None:
    outbound, reports = FakeOutbound(), Reports()
    outbound.answers["/api/tags"] = b'{"models":' + b"[" * 100_000
    engine = upstream(outbound)
    await engine.start_up(reports)
    assert [state.ready for state in reports.states] == [False]
    outbound.answers |= {"/api/tags": TAGS, "/api/show": b'{"model_info":{"a":' + b"[" * 100_000}
    await engine._refresh()
    assert [state.ready for state in reports.states] == [False]
    await engine.close()


async def test_a_server_that_is_no_ollama() -> None:
    outbound = FakeOutbound()
    outbound.answers["/api/show"] = b"<html>"
    with pytest.raises(UpstreamFailed, match="upstream_not_ollama"):
        await upstream(outbound).describe("m:latest")


async def test_one_model_that_cannot_be_described_is_left_out_alone() -> None:
    outbound = FakeOutbound()
    outbound.answers["/api/tags"] = {
        "models": [{"name": "a", "digest": "1"}, {"name": "b", "digest": "2", "capabilities": ["completion"]}]
    }
    outbound.answers["/api/show"] = b"<html>"
    engine, reports = upstream(outbound), Reports()
    await listed(engine, reports)
    assert [card.name for card in engine.models()] == ["b"]
    await engine.close()
