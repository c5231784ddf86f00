"""The contract of step 11 with callers: headers, codes, times to come back, events; docs/queue-contract.md.

One slot, which a first request holds, so that the second waits. The clock stands still until a test moves it.
"""

import asyncio
import dataclasses
import json
import math
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai._streaming import SSEDecoder

from engine.errors import ContextTooLong, SlotTaken
from gateway import queue_turn
from gateway.exchange import Exchange
from policies.admitting.effects import Forecast
from policies.admitting.events import Arrived, QueueEvent, Tick
from policies.admitting.ticket import Ticket
from policies.call import Call, Event, Text
from policies.policy import Limits, Team
from policies.told_wait import told_ms
from tests.fakes import FakeIncoming, FakeReply
from tests.flow.gates import TestGate

OLLAMA, OPENAI = "/api/chat", "/v1/chat/completions"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
WHOLE = {**CHAT, "stream": False}
OVERFLOW = {"error": "server busy, please try again.  maximum pending requests exceeded"}
EVENTS = (("X-Queue-Events", "1"),)
COMMENT = re.compile(rb": queued pos=(\d+) eta_ms=(\d+)\n\n")
LADDER = {told_ms(wait_ms / 1000) for wait_ms in range(0, 1_000_001, 5)}
QUEUE_HEADERS = {
    "x-admission-decision",
    "x-queue-predicted-wait-ms",
    "x-queue-predicted-wait-p90-ms",
    "x-queue-position",
    "x-queue-wait-ms",
}

Open = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_turn, "POLL_S", 0)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Makes a gate with one slot, and lets all of it go at the end."""
    gates: list[TestGate] = []

    async def open_gate(team: Team | None = None, **policy: Any) -> TestGate:
        one = dataclasses.replace(team or Team(), models=("m:latest",))
        teams = {"one": one, "two": Team(models=("*",))}
        gate = TestGate(tmp_path, **{"teams": teams, **policy})
        gate.engine.slots = 1
        gate.engine.hold = asyncio.Event()
        gates.append(await gate.start())
        return gate

    yield open_gate
    for gate in gates:
        gate.engine.hold.set()
        await settled()
        assert gate.dispatcher.waiting() == 0
        assert gate.bugs == []
        await gate.close()


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def asked(gate: TestGate, target: str = OPENAI, body: Any = CHAT, **how: Any) -> asyncio.Task[FakeReply]:
    """A request under way; what it waits for, it waits for now."""
    reply = how.setdefault("reply", FakeReply())
    task = asyncio.create_task(gate.send("POST", target, body, **how))

    async def answer() -> FakeReply:
        await task
        return reply

    await settled()
    return asyncio.create_task(answer())


async def sent(gate: TestGate, target: str = OPENAI, body: Any = CHAT, *headers: tuple[str, str]) -> FakeReply:
    reply, _ = await gate.send("POST", target, body, headers=headers)
    return reply


async def let_go(gate: TestGate, *tasks: asyncio.Task[FakeReply]) -> list[FakeReply]:
    assert gate.engine.hold is not None
    gate.engine.hold.set()
    return await asyncio.gather(*tasks)


def passed(gate: TestGate, seconds: float) -> None:
    gate.clock.move(seconds)
    gate.dispatcher.tell(Tick())


def record(gate: TestGate, event: str) -> dict[str, Any]:
    [entry] = [each for each in gate.log.entries if each["event"] == event]
    return entry


def errors_in(reply: FakeReply) -> list[dict[str, Any]]:
    events = [json.loads(each.data) for each in SSEDecoder().iter_bytes(iter([reply.body])) if each.data != "[DONE]"]
    return [each["error"] for each in events if "error" in each]


def arrivals(gate: TestGate, monkeypatch: pytest.MonkeyPatch) -> list[Ticket]:
    """Every ticket from now on, as it comes to the queue."""
    tickets: list[Ticket] = []
    tell = gate.dispatcher.scheduler.tell

    def heard(event: QueueEvent) -> None:
        if isinstance(event, Arrived):
            tickets.append(event.ticket)
        tell(event)

    monkeypatch.setattr(gate.dispatcher.scheduler, "tell", heard)
    return tickets


# ---- headers of an answer


@pytest.mark.parametrize("target", [OLLAMA, OPENAI])
@pytest.mark.parametrize("body", [CHAT, WHOLE])
async def test_a_slot_at_once(opened: Open, target: str, body: dict[str, Any]) -> None:
    gate = await opened()
    gate.engine.hold.set()
    reply = await sent(gate, target, body)
    told = {name: value for name, value in reply.headers.items() if name in QUEUE_HEADERS}
    assert told == dict.fromkeys(QUEUE_HEADERS, "0") | {"x-admission-decision": "admitted"}
    result = record(gate, "request.completed")["result"]
    assert (result["admission"], result["predicted_wait_ms"], result["queued_ms"]) == ("admitted", 0.0, 0.0)


@pytest.mark.parametrize("target", [OLLAMA, OPENAI])
@pytest.mark.parametrize("body", [CHAT, WHOLE])
async def test_a_wait(opened: Open, target: str, body: dict[str, Any]) -> None:
    gate = await opened()
    first = await asked(gate, target, body)
    second, third = await asked(gate, target, body), await asked(gate, target, body)
    gate.clock.move(1.6)
    _, *replies = await let_go(gate, first, second, third)
    for place, reply in enumerate(replies, start=1):
        assert set(reply.headers) >= QUEUE_HEADERS
        assert reply.headers["x-admission-decision"] == "queued"
        assert reply.headers["x-queue-position"] == str(place)
        assert reply.headers["x-queue-wait-ms"] == "2000"
        predicted_ms, p90_ms = (int(reply.headers[f"x-queue-predicted-wait-{each}"]) for each in ("ms", "p90-ms"))
        assert {predicted_ms, p90_ms} <= LADDER
        assert 0 < predicted_ms <= p90_ms
    results = [each["result"] for each in gate.log.entries if each["event"] == "request.completed"][1:]
    for reply, result in zip(replies, results, strict=True):
        assert (result["admission"], result["queued_ms"]) == ("queued", 1600.0)
        assert reply.headers["x-queue-predicted-wait-ms"] == str(told_ms(result["predicted_wait_ms"] / 1000))


async def test_what_never_asked_the_queue_is_told_nothing_of_it(opened: Open) -> None:
    gate = await opened()
    for reply in (await sent(gate, OPENAI, {"model": "m"}), (await gate.send("GET", "/api/tags"))[0]):
        assert not QUEUE_HEADERS & set(reply.headers)


async def test_a_wait_without_end_is_left_out_of_the_record(opened: Open) -> None:
    gate = await opened()
    exchange = Exchange(FakeIncoming("POST", OPENAI), gate.clock)
    exchange.queue_answered(Forecast(wait_s=math.inf), waits=True)
    await gate.gate.audit.completed(exchange)
    assert "predicted_wait_ms" not in record(gate, "request.completed")["result"]


# ---- refusals: one for each code


async def test_a_full_team(opened: Open) -> None:
    gate = await opened(Team(max_queued=1))
    first, second = await asked(gate), await asked(gate)
    full = await sent(gate)
    error = json.loads(full.body)["error"]
    assert (full.status, error["type"], error["code"], error["reason"]) == (
        429, "rate_limit_error", "team_queue_full", "team_queue_full",
    )  # fmt: skip
    assert full.headers["x-admission-decision"] == "refused"
    assert full.headers["x-admission-reason"] == "team_queue_full"
    assert (full.headers["x-queue-wait-ms"], full.headers["x-queue-position"]) == ("0", "0")
    assert int(full.headers["x-queue-predicted-wait-ms"]) in LADDER - {0}
    entry = record(gate, "request.shed")
    assert entry["decision"]["reason"] == "team_queue_full"
    told_s = entry["result"]["retry_after_s"]
    assert told_s <= int(full.headers["retry-after-ms"]) / 1000 <= told_s + 0.0011
    assert told_s <= int(full.headers["retry-after"]) <= told_s + 1
    await let_go(gate, first, second)


async def test_a_full_queue(opened: Open) -> None:
    gate = await opened(max_queued=1)
    first, second = await asked(gate), await asked(gate)
    full, _ = await gate.send("POST", OPENAI, CHAT, key="two")
    assert (full.status, json.loads(full.body)["error"]["reason"]) == (429, "queue_full")
    ollama, _ = await gate.send("POST", OLLAMA, CHAT, key="two")
    assert (ollama.status, json.loads(ollama.body)) == (503, OVERFLOW)
    assert ollama.headers["x-admission-reason"] == "queue_full"
    assert int(ollama.headers["retry-after-ms"]) >= 1
    assert set(ollama.headers) >= QUEUE_HEADERS
    await let_go(gate, first, second)


async def test_a_deadline_that_the_queue_cannot_keep(opened: Open) -> None:
    gate = await opened(Team(first_token_s=3600.0, max_wait_s=3600.0))
    first = await asked(gate)
    refused = await sent(gate, OPENAI, CHAT, ("X-SLO-TTFT-Ms", "900"))
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (429, "deadline_unreachable")
    assert refused.headers["x-admission-decision"] == "refused"
    assert 0 < int(refused.headers["retry-after-ms"]) <= 120_000
    assert "x-should-retry" not in refused.headers
    assert record(gate, "request.shed")["decision"]["reason"] == "deadline_unreachable"
    await let_go(gate, first)


async def test_what_cannot_be_booked_is_told_so(opened: Open) -> None:
    gate = await opened(Team(max_queued=20, max_wait_s=3600.0))
    waiting = [await asked(gate) for _ in range(21)]
    for target, status in ((OPENAI, 429), (OLLAMA, 503)):
        refused = await sent(gate, target)
        assert (refused.status, refused.headers["x-should-retry"]) == (status, "false")
        assert not {"retry-after", "retry-after-ms"} & set(refused.headers)
        with openai.OpenAI(api_key="k", base_url="http://localhost") as client:
            assert not client._should_retry(httpx2.Response(status, headers=refused.headers))
        assert "retry_after_s" not in gate.log.entries[-1]["result"]
    await let_go(gate, *waiting)


@pytest.mark.parametrize("header", ["X-SLO-TTFT-Ms", "X-Deadline-Ms"])
async def test_a_wait_that_was_allowed_and_became_too_long(opened: Open, header: str) -> None:
    gate = await opened()
    first = await asked(gate)
    late = await asked(gate, headers=((header, "60000"),))
    passed(gate, 61.0)
    reply = await late
    assert (reply.status, json.loads(reply.body)["error"]["reason"]) == (429, "expired_in_queue")
    assert reply.headers["x-admission-decision"] == "refused_late"
    assert reply.headers["x-queue-wait-ms"] == "70000"
    result = record(gate, "request.shed")["result"]
    assert (result["admission"], result["queued_ms"]) == ("refused_late", 61_000.0)
    await let_go(gate, first)


async def test_a_model_that_nothing_serves(opened: Open) -> None:
    gate = await opened()
    gate.engine.announce(ready=False)
    passed(gate, 31.0)
    for target, body in (
        (OPENAI, None),
        (OLLAMA, {"error": "the model is not available at the moment, please try again"}),
    ):
        reply = await sent(gate, target)
        assert (reply.status, reply.headers["x-admission-reason"]) == (503, "no_capacity")
        assert (reply.headers["x-admission-decision"], reply.headers["retry-after"]) == ("refused", "1")
        told = json.loads(reply.body)
        assert told == (body or told)
    assert json.loads((await sent(gate)).body)["error"]["code"] == "no_capacity"


async def test_a_model_that_is_lost_under_its_waiters(opened: Open) -> None:
    gate = await opened()
    gate.engine.announce(ready=False)
    waiting = await asked(gate)
    passed(gate, 31.0)
    reply = await waiting
    assert (reply.status, reply.headers["x-admission-decision"]) == (503, "refused_late")


async def test_what_a_limit_refused_says_so_and_nothing_of_the_queue(opened: Open) -> None:
    gate = await opened(Team(limits=Limits(requests_per_minute=60, burst_requests=1)))
    gate.engine.hold.set()
    await sent(gate)
    limited = await sent(gate)
    assert (limited.status, json.loads(limited.body)["error"]["reason"]) == (429, "rate_limited")
    assert (limited.headers["x-admission-reason"], limited.headers["retry-after"]) == ("rate_limited", "1")
    assert not QUEUE_HEADERS & set(limited.headers)


async def test_what_is_too_large_says_so(opened: Open) -> None:
    gate = await opened()
    gate.engine.fail["prepare"] = ContextTooLong("r", prompt_tokens=9, limit_tokens=8)
    reply = await sent(gate)
    assert (reply.status, json.loads(reply.body)["error"]["reason"]) == (400, "too_large")


# ---- what a caller may say


@pytest.mark.parametrize("target", [OLLAMA, OPENAI])
@pytest.mark.parametrize(
    "headers",
    [(("X-SLO-TTFT-Ms", "soon"),), (("X-Deadline-Ms", "0"),), (("X-Queue-Events", "on"),),
     (("X-Priority", "batch"), ("X-Priority", "batch"))],
)  # fmt: skip
async def test_a_header_that_cannot_be_read_is_named(
    opened: Open, target: str, headers: tuple[tuple[str, str], ...]
) -> None:
    gate = await opened()
    reply, incoming = await gate.send("POST", target, CHAT, headers=headers)
    assert (reply.status, incoming.body_read) == (400, False)
    assert headers[0][0] in reply.body.decode()
    assert gate.engine.calls == []


async def test_the_ticket_is_on_the_tighter_terms(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = await opened(Team(first_token_s=10.0, max_wait_s=50.0, band="standard"))
    gate.engine.hold.set()
    tickets = arrivals(gate, monkeypatch)
    await sent(gate)
    await sent(gate, OPENAI, CHAT, ("X-SLO-TTFT-Ms", "2000"), ("X-Deadline-Ms", "9000"), ("X-Priority", "batch"))
    await sent(gate, OPENAI, CHAT, ("x-llm-d-slo-ttft-ms", "90000"), ("X-Priority", "interactive"))
    terms = [(each.promise_s, (each.expires_s or 0.0) - each.arrived_s, each.band) for each in tickets]
    assert terms == [(10.0, 50.0, "standard"), (2.0, 2.0, "batch"), (10.0, 50.0, "standard")]
    assert [each.deadline_s for each in gate.engine.calls] == [None, 9.0, None]
    assert gate.log.entries[2]["params"]["deadline_s"] == 9.0


async def test_who_comes_back_with_less_time_is_known_again(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = await opened()
    gate.engine.hold.set()
    tickets = arrivals(gate, monkeypatch)
    await sent(gate, OPENAI, CHAT, ("X-Deadline-Ms", "90000"))
    await sent(gate, OPENAI, CHAT, ("X-Deadline-Ms", "30000"), ("X-SLO-TTFT-Ms", "20000"), *EVENTS)
    await sent(gate, OPENAI, {**CHAT, "max_tokens": 9})
    identities = [each.identity for each in tickets]
    assert identities[0] == identities[1] != identities[2]


@pytest.mark.parametrize("body", [CHAT, WHOLE])
async def test_a_deadline_ends_the_answer_with_what_there_is(opened: Open, body: dict[str, Any]) -> None:
    gate = await opened()

    async def slowly(_call: Call) -> AsyncIterator[Event]:
        yield Text("Par")
        gate.clock.move(31.0)
        while True:
            yield Text("is")

    gate.engine._events = slowly
    reply = await sent(gate, OPENAI, body, ("X-Deadline-Ms", "30000"))
    assert b"length" in reply.body
    assert b"Par" in reply.body
    result = record(gate, "request.completed")["result"]
    assert (result["finish"], result["dur_ms"]) == ("length", 31_000.0)


async def test_a_promise_that_reports_lets_in_and_records(opened: Open) -> None:
    gate = await opened(Team(first_token_s=0.5, promise_mode="report"))
    first, second = await asked(gate), await asked(gate)
    _, reply = await let_go(gate, first, second)
    assert (reply.status, reply.headers["x-admission-decision"]) == (200, "queued")
    completed = [each for each in gate.log.entries if each["event"] == "request.completed"]
    assert [each["decision"].get("would_refuse") for each in completed] == [None, "deadline_unreachable"]


# ---- events


async def test_the_status_line_is_held_back_without_events(opened: Open) -> None:
    gate = await opened()
    first = await asked(gate)
    for target, body, headers in ((OPENAI, CHAT, ()), (OPENAI, WHOLE, EVENTS), (OLLAMA, CHAT, EVENTS)):
        reply = FakeReply()
        waiting = await asked(gate, target, body, headers=headers, reply=reply)
        assert not reply.started
        waiting.cancel()
    await settled()
    gate.engine.hold.set()
    await settled()
    assert (await first).status == 200


async def test_who_has_a_slot_at_once_reads_no_event(opened: Open) -> None:
    gate = await opened()
    gate.engine.hold.set()
    reply = await sent(gate, OPENAI, CHAT, *EVENTS)
    assert not COMMENT.search(reply.body)
    assert reply.headers["x-queue-wait-ms"] == "0"


async def test_the_wait_is_told_and_then_the_answer(opened: Open) -> None:
    gate = await opened()
    reply = FakeReply()
    first = await asked(gate)
    waiting = await asked(gate, headers=EVENTS, reply=reply)
    assert (reply.started, reply.status, reply.headers["x-admission-decision"]) == (True, 200, "queued")
    assert set(reply.headers) >= QUEUE_HEADERS - {"x-queue-wait-ms"}
    eta_ms = reply.headers["x-queue-predicted-wait-ms"]
    assert reply.body == f": queued pos=1 eta_ms={eta_ms}\n\n".encode()
    gate.clock.move(15.0)
    await settled()
    plain, _ = await let_go(gate, first, waiting)
    comments = COMMENT.findall(reply.body)
    assert [place for place, _ in comments] == [b"1", b"1"]
    assert {int(eta) for _, eta in comments} <= LADDER
    answer = reply.body[reply.body.index(b"data: ") :]
    assert not COMMENT.search(answer)
    for own, other in zip(read(answer), read(plain.body), strict=True):
        assert own == other
    assert (reply.ended, gate.log.events()[-1]) == (True, "request.completed")


def read(body: bytes) -> list[Any]:
    """What the official client's own decoder makes of a stream, without what differs between two answers."""
    data = [each.data for each in SSEDecoder().iter_bytes(iter([body]))]
    assert data.pop() == "[DONE]"
    return [json.loads(each) | {"id": "", "created": 0} for each in data]


async def test_the_place_is_told_as_it_gets_nearer(opened: Open) -> None:
    gate = await opened()
    reply = FakeReply()
    first = await asked(gate)
    second = await asked(gate)
    third = await asked(gate, headers=EVENTS, reply=reply)
    gate.engine.hold, held = asyncio.Event(), gate.engine.hold
    held.set()
    await first
    await settled()
    assert [place for place, _ in COMMENT.findall(reply.body)] == [b"2"], "at most once a second"
    gate.clock.move(1.0)
    await settled()
    assert [place for place, _ in COMMENT.findall(reply.body)] == [b"2", b"1"]
    await let_go(gate, second, third)
    assert reply.ended


@pytest.mark.parametrize("mode", ["padded", "batched"])
async def test_shaped_streams_hold_for_events(opened: Open, mode: str) -> None:
    gate = await opened(Team(stream=mode))
    sizes: list[int] = []
    reply = FakeReply(on_write=lambda data: sizes.append(len(data)))
    first = await asked(gate)
    waiting = await asked(gate, headers=EVENTS, reply=reply)
    gate.clock.move(15.0)
    await settled()
    await let_go(gate, first, waiting)
    assert set(sizes) <= {1017, 4089}
    assert len(COMMENT.findall(reply.body)) == 2
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in read(reply.body)) == "Paris"


async def test_a_refusal_after_the_status_line_travels_in_the_stream(opened: Open) -> None:
    gate = await opened()
    first = await asked(gate)
    late = await asked(gate, headers=(*EVENTS, ("X-Deadline-Ms", "60000")))
    passed(gate, 61.0)
    reply = await late
    assert (reply.status, reply.ended) == (200, True)
    [error] = errors_in(reply)
    assert (error["type"], error["code"], error["reason"]) == (
        "rate_limit_error",
        "expired_in_queue",
        "expired_in_queue",
    )
    assert b"[DONE]" not in reply.body
    entry = record(gate, "request.shed")
    assert (entry["result"]["status"], entry["result"]["admission"]) == (200, "refused_late")
    assert entry["decision"]["reason"] == "expired_in_queue"
    await let_go(gate, first)


async def test_a_refusal_at_once_is_a_status_also_with_events(opened: Open) -> None:
    gate = await opened(Team(max_queued=1))
    first, second = await asked(gate), await asked(gate)
    assert (await sent(gate, OPENAI, CHAT, *EVENTS)).status == 429
    await let_go(gate, first, second)


async def test_a_slot_that_was_taken_was_none(opened: Open) -> None:
    gate = await opened()
    gate.engine.fail["start"] = SlotTaken("taken")
    waiting = await asked(gate, headers=(("X-Deadline-Ms", "60000"),))
    passed(gate, 61.0)
    assert (await waiting).headers["x-admission-decision"] == "refused_late"
    result = record(gate, "request.shed")["result"]
    assert "target" not in result
    assert "prompt_tokens" not in result
    del gate.engine.fail["start"]


# ---- who leaves, and what ends a wait from outside


async def test_a_client_found_gone_frees_its_place(opened: Open) -> None:
    gate = await opened()
    first = await asked(gate)
    waiting = await asked(gate, headers=EVENTS, reply=FakeReply(gone_after=1))
    assert gate.dispatcher.waiting() == 1
    gate.clock.move(15.0)
    await waiting
    assert gate.dispatcher.waiting() == 0
    await let_go(gate, first)
    await settled()
    result = record(gate, "request.aborted")["result"]
    assert (result["status"], result["admission"]) == (499, "queued")
    assert len(gate.engine.calls) == 1


@pytest.mark.parametrize("headers", [(), EVENTS])
async def test_a_client_that_closes_frees_its_place(opened: Open, headers: tuple[tuple[str, str], ...]) -> None:
    gate = await opened()
    first = await asked(gate)
    waiting = asyncio.create_task(gate.send("POST", OPENAI, CHAT, headers=headers))
    await settled()
    assert gate.dispatcher.waiting() == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert gate.dispatcher.waiting() == 0
    await let_go(gate, first)


@pytest.mark.parametrize("headers", [(), EVENTS])
@pytest.mark.parametrize("cause", ["revoked", "drained"])
async def test_a_wait_is_cut_from_outside(opened: Open, headers: tuple[tuple[str, str], ...], cause: str) -> None:
    gate = await opened()
    first = await asked(gate, key="two")
    waiting = await asked(gate, headers=headers)
    if cause == "revoked":
        gate.revoke("one")
    else:
        hurry = asyncio.Event()
        hurry.set()
        await gate.running.drained(0.0, hurry)
    reply = await waiting
    assert gate.dispatcher.waiting() == 0
    assert reply.ended
    status = {"revoked": 401, "drained": 503}[cause]
    code = {"revoked": "invalid_api_key", "drained": "no_capacity"}[cause]
    event = "request.shed" if cause == "drained" else "request.cut" if headers else "request.denied"
    error = errors_in(reply)[0] if headers else json.loads(reply.body)["error"]
    assert (reply.status, error["code"]) == (200 if headers else status, code)
    assert event in gate.log.events()
    await let_go(gate, first)
