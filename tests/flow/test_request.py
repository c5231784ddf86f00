"""The request's flow, step by step: one test a refusal, one a point of cancellation."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ContextTooLong, EngineError, ModelNotReady, PrepareFailed, SlotTaken, WorkerDied
from gateway.dialects import ollama, openai
from gateway.incoming import ClientGone
from policies.addresses.networks import Networks
from policies.call import Call, Event, Text
from policies.errors import BodyTooLarge
from policies.policy import KeyLimits, Team
from tests.fakes import FakeEngine, FakeReply
from tests.flow.gates import TestGate

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
WHOLE = {**CHAT, "stream": False}
OPENAI_CHAT = {**CHAT, "stream": True}


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    yield gate
    await gate.close()


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def lines(reply: FakeReply) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reply.body.splitlines()]


async def test_a_chat_is_streamed_and_recorded(gate: TestGate) -> None:
    reply, _ = await gate.send("POST", "/api/chat", CHAT)
    assert (reply.status, reply.ended, reply.headers["content-type"]) == (200, True, "application/x-ndjson")
    assert [line["message"]["content"] for line in lines(reply)] == ["Par", "is", ""]
    assert lines(reply)[-1]["done_reason"] == "stop"
    assert gate.log.events() == ["request.authorized", "request.completed"]
    record = gate.log.entries[-1]
    assert record["actor"]["team"] == "one"
    assert record["result"]["output_tokens"] == 2
    assert record["params"] | {"messages": 1, "temperature": 0.8} == record["params"]
    assert record["req_id"] == reply.headers["x-request-id"]
    assert gate.accepted == [gate.records["one"].id]
    assert gate.store.get(gate.records["one"].id).last_ip == "127.0.0.1"


async def test_a_replaced_key_that_is_still_in_use_is_flagged(gate: TestGate) -> None:
    gate.add_key("old", "one", successor_id=gate.records["one"].id)
    await gate.send("GET", "/api/tags", key="old")
    await gate.send("GET", "/api/tags", key="one")
    assert "key.predecessor_used" not in gate.log.events()
    for _ in range(2):
        await gate.send("GET", "/api/tags", key="old")
    await settled()
    [flag] = [entry for entry in gate.log.entries if entry["event"] == "key.predecessor_used"]
    assert flag["stage"] == "system"
    old, new = gate.records["old"], gate.records["one"]
    assert flag["details"] == {"key_id": old.id, "team": old.team, "successor": new.id}


async def test_a_chat_is_answered_whole(gate: TestGate) -> None:
    reply, _ = await gate.send("POST", "/api/chat", WHOLE)
    assert json.loads(reply.body)["message"]["content"] == "Paris"
    assert reply.headers["content-length"] == str(len(reply.body))


async def test_the_call_is_held_to_the_team(gate: TestGate) -> None:
    await gate.send("POST", "/api/chat", {**WHOLE, "options": {"num_predict": 10**6}})
    [call] = gate.engine.calls
    assert (call.model, call.cache_scope, call.max_output_tokens) == ("m:latest", "team:one", 4096)


# ---- (0) edge, (1) client, (2) network


async def test_0_a_message_unfit_for_the_edge(gate: TestGate) -> None:
    reply, incoming = await gate.send("POST", "/api/%2e%2e/chat", CHAT)
    assert (reply.status, incoming.body_read, reply.headers["connection"]) == (400, False, "close")
    assert gate.log.events() == ["request.rejected"]
    strange, _ = await gate.send("POST", "/api/chat", CHAT, headers=(("Expect", "more"),))
    assert (strange.status, strange.headers["connection"]) == (417, "close")


async def test_1_an_address_that_is_none(gate: TestGate) -> None:
    reply, _ = await gate.send("GET", "/api/tags", peer="nowhere")
    assert reply.status == 403


async def test_2_an_address_outside_the_allowed_networks(gate: TestGate) -> None:
    for target in ("/", "/api/tags", "/health/live"):
        reply, _ = await gate.send("GET", target, peer="192.0.2.1")
        assert reply.status == 403
    assert set(gate.log.events()) == {"request.denied"}


@pytest.mark.parametrize("target", ["/", "/health/live", "/health/ready"])
async def test_open_routes_need_no_key_and_leave_no_record(gate: TestGate, target: str) -> None:
    reply, _ = await gate.send("GET", target, key=None)
    assert reply.status == 200
    head, _ = await gate.send("HEAD", target, key=None)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(reply.body))
    assert gate.log.entries == []


# ---- (3) to (5) who


def secured() -> list[tuple[str, str]]:
    routes = [
        (route.method_names[0], route.path) for route in (*ollama.ROUTES, *openai.ROUTES) if route.scope != "open"
    ]
    paths = [(method, path.replace("{model}", "m")) for method, path in routes]
    return [
        *paths,
        ("GET", "/nothing"),
        ("GET", "/v1/nothing"),
        ("DELETE", "/api/delete"),
        ("PUT", "/api/chat"),
        ("GET", "/metrics"),
    ]


CAUSES = {
    "missing": None,
    "malformed": "corral_nonsense",
    "unknown": "corral_AAAAAAAAAAAA_" + "A" * 49,
    "expired": "expired",
    "revoked": "revoked",
    "early": "early",
}


@pytest.mark.parametrize("listener", ["public", "admin"])
@pytest.mark.parametrize(("method", "target"), secured())
async def test_5_every_route_answers_one_body_for_every_cause(
    gate: TestGate, method: str, target: str, listener: str
) -> None:
    wrong_secret = gate.keys["one"][:-10] + "A" * 10
    answers = set()
    for key in (*CAUSES.values(), wrong_secret):
        body = CHAT if method in ("POST", "PUT") else None
        reply, incoming = await gate.send(method, target, body, key=key, listener=listener)
        assert (reply.status, incoming.body_read) == (401, False)
        assert reply.headers["www-authenticate"].startswith("Bearer")
        answers.add(reply.body.replace(reply.headers["x-request-id"].encode(), b""))
    assert len(answers) == 1
    assert set(gate.log.events()) == {"request.unauthenticated"}
    assert len({entry["decision"]["reason"] for entry in gate.log.entries}) >= 5


async def test_4_two_credentials(gate: TestGate) -> None:
    reply, _ = await gate.send("GET", "/api/tags", headers=(("x-api-key", gate.keys["two"]),))
    assert reply.status == 400
    same, _ = await gate.send("GET", "/api/tags", headers=(("x-api-key", gate.keys["one"]),))
    assert same.status == 200
    alone, _ = await gate.send("GET", "/api/tags", key=None, headers=(("x-api-key", gate.keys["one"]),))
    assert alone.status == 200


async def test_5_a_key_is_held_to_its_own_networks(gate: TestGate) -> None:
    reply, _ = await gate.send("GET", "/api/tags", key="elsewhere")
    assert reply.status == 403
    assert gate.log.entries[-1]["actor"]["key_id"] == gate.records["elsewhere"].id


@pytest.mark.parametrize("name", ["revoked", "expired"])
async def test_5_the_log_names_a_key_that_is_no_longer_good_once_its_secret_was_shown(
    gate: TestGate, name: str
) -> None:
    await gate.send("GET", "/api/tags", key=name)
    assert gate.log.entries[-1]["actor"]["key_id"] == gate.records[name].id
    await gate.send("GET", "/api/tags", key=gate.keys[name][:-10] + "A" * 10)
    assert "key_id" not in gate.log.entries[-1]["actor"]


async def test_5_a_key_whose_team_is_gone(gate: TestGate) -> None:
    reply, _ = await gate.send("GET", "/api/tags", key="teamless")
    assert reply.status == 403


# ---- (6) rate


async def test_6_the_rate_of_a_key(tmp_path: Path) -> None:
    limits = KeyLimits(requests_per_minute=60, burst_requests=2)
    gate = await TestGate(
        tmp_path, teams={"one": Team(models=("*",), key_limits=limits), "two": Team(models=("*",))}
    ).start()
    statuses = [(await gate.send("GET", "/api/tags"))[0].status for _ in range(3)]
    assert statuses == [200, 200, 429]
    reply, _ = await gate.send("GET", "/api/tags")
    assert int(reply.headers["retry-after"]) == 1
    assert (await gate.send("GET", "/api/tags", key="two"))[0].status == 200
    gate.clock.move(1.0)
    assert (await gate.send("GET", "/api/tags"))[0].status == 200
    await gate.close()


# ---- (7) body


async def test_7_unknown_paths_and_methods_are_told_to_the_known(gate: TestGate) -> None:
    assert (await gate.send("GET", "/nothing"))[0].status == 404
    assert (await gate.send("GET", "/metrics"))[0].status == 404
    wrong, _ = await gate.send("PUT", "/api/chat", CHAT)
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"model":"m","MODEL":"secret"}', b'{"model":1}', b'{"model":"m","messages":1}']
)
async def test_7_bad_bodies(gate: TestGate, body: bytes) -> None:
    for target in ("/api/chat", "/v1/chat/completions"):
        reply, _ = await gate.send("POST", target, body)
        assert reply.status == 400
        assert json.loads(reply.body)["error"]
    assert gate.engine.calls == []


async def test_7_a_body_beyond_its_cap(gate: TestGate) -> None:
    incoming_error = BodyTooLarge("body_too_large", limit_bytes=1024)

    async def refuse(limit_bytes: int, deadline_s: float) -> bytes:
        raise incoming_error

    from gateway.request import handle  # noqa: PLC0415
    from tests.fakes import FakeIncoming  # noqa: PLC0415

    incoming = FakeIncoming("POST", "/api/chat", [("Authorization", f"Bearer {gate.keys['one']}")], b"x")
    incoming.read_body = refuse  # type: ignore[method-assign]
    reply = FakeReply()
    await handle(gate.gate, incoming, reply)
    assert reply.status == 413


async def test_7_an_encoded_body_is_refused_to_the_known_and_tells_strangers_nothing(gate: TestGate) -> None:
    encoded = (("Content-Encoding", "gzip"),)
    for target, shape in (("/api/chat", str), ("/v1/chat/completions", dict)):
        known, incoming = await gate.send("POST", target, CHAT, headers=encoded)
        assert (known.status, incoming.body_read) == (415, False)
        assert isinstance(json.loads(known.body)["error"], shape)
        stranger, _ = await gate.send("POST", target, CHAT, key=None, headers=encoded)
        assert stranger.status == 401


async def test_an_edge_error_speaks_the_dialect_of_its_path(gate: TestGate) -> None:
    reply, _ = await gate.send("POST", "/v1/chat;x/completions", CHAT)
    assert reply.status == 400
    assert json.loads(reply.body)["error"]["type"]


# ---- (8) authorisation


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/api/chat", WHOLE),
        ("/api/generate", {"prompt": "x", "stream": False}),
        ("/api/generate", {}),
        ("/api/embed", {"input": "x"}),
        ("/api/embeddings", {"prompt": "x"}),
        ("/api/show", {}),
        ("/v1/chat/completions", CHAT),
        ("/v1/completions", {"prompt": "x"}),
        ("/v1/embeddings", {"input": "x"}),
    ],
)
async def test_8_foreign_and_unknown_models_look_alike(gate: TestGate, target: str, body: dict[str, Any]) -> None:
    foreign, _ = await gate.send("POST", target, {**body, "model": "secret"})
    unknown, _ = await gate.send("POST", target, {**body, "model": "nosuch"})
    assert (foreign.status, unknown.status) == (404, 404)
    assert foreign.body.replace(b"secret", b"nosuch") == unknown.body
    mine, _ = await gate.send("POST", target, {**body, "model": "m"})
    assert mine.status == 200, mine.body


@pytest.mark.parametrize(
    ("target", "body"), [("/api/chat", WHOLE), ("/api/show", {}), ("/api/generate", {}), ("/v1/chat/completions", CHAT)]
)
async def test_8_before_an_engine_has_listed_nothing_is_called_unknown(
    gate: TestGate, target: str, body: dict[str, Any]
) -> None:
    """Clients take a 404 for good, and a gateway that has just started cannot know."""
    gate.engine.has_listed = False
    for name in ("secret", "nosuch"):
        reply, _ = await gate.send("POST", target, {**body, "model": name})
        assert reply.status == 503, reply.body
        assert name.encode() not in reply.body
        assert reply.headers["retry-after"]
        told = gate.log.entries[-1]
        assert (told["event"], told["decision"]["reason"]) == (
            "request.denied",
            {"secret": "model_not_of_team", "nosuch": "model_not_in_catalogue"}[name],
        )
    mine, _ = await gate.send("POST", target, {**body, "model": "m"})
    assert mine.status == 200, mine.body
    gate.engine.has_listed = True
    reply, _ = await gate.send("POST", target, {**body, "model": "nosuch"})
    assert reply.status == 404


async def test_8_lists_show_the_teams_models_only(gate: TestGate) -> None:
    tags, _ = await gate.send("GET", "/api/tags")
    assert [each["name"] for each in json.loads(tags.body)["models"]] == ["m:latest"]
    models, _ = await gate.send("GET", "/v1/models")
    assert [each["id"] for each in json.loads(models.body)["data"]] == ["m:latest"]
    assert (await gate.send("GET", "/v1/models/secret"))[0].status == 404
    everything, _ = await gate.send("GET", "/api/tags", key="two")
    assert len(json.loads(everything.body)["models"]) == 2


async def test_8_a_scope_that_the_key_lacks(gate: TestGate) -> None:
    assert (await gate.send("GET", "/api/tags", key="metrics"))[0].status == 403
    assert (await gate.send("GET", "/metrics", key="one", listener="admin"))[0].status == 403
    page, _ = await gate.send("GET", "/metrics", key="metrics", listener="admin")
    assert b"corral_requests_total" in page.body


async def test_8_the_metrics_show_the_keys_that_end_soon_and_no_others(gate: TestGate) -> None:
    gate.add_key("soon", "one", expires_s=gate.clock.unix_ns() / 1e9 + 3600)
    series = f'corral_key_expires_seconds{{key_id="{gate.records["soon"].id}",team="one"}} 3600.0'
    page, _ = await gate.send("GET", "/metrics", key="metrics", listener="admin")
    assert [line for line in page.body.decode().splitlines() if line.startswith("corral_key_expires")] == [series]
    gate.revoke("soon")
    page, _ = await gate.send("GET", "/metrics", key="metrics", listener="admin")
    assert b"corral_key_expires_seconds{" not in page.body


# ---- (9) prepare


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PrepareFailed("schema", "the schema is too deep"), 400),
        (ContextTooLong("context", prompt_tokens=9, limit_tokens=5), 400),
        (ModelNotReady("loading"), 503),
    ],
)
async def test_9_what_cannot_be_prepared(gate: TestGate, error: EngineError, status: int) -> None:
    gate.engine.fail["prepare"] = error
    reply, _ = await gate.send("POST", "/api/chat", CHAT)
    assert reply.status == status
    assert gate.log.events() == ["request.failed"]


# ---- (10) concurrency, (11) queue


async def test_10_one_request_too_many_at_once(gate: TestGate) -> None:
    gate.engine.hold = asyncio.Event()
    first = asyncio.create_task(gate.send("POST", "/api/chat", CHAT, key="two"))
    await settled()
    second, _ = await gate.send("POST", "/api/chat", CHAT, key="two")
    assert (second.status, second.headers["retry-after"]) == (429, "1")
    gate.engine.hold.set()
    assert (await first)[0].status == 200
    third, _ = await gate.send("POST", "/api/chat", CHAT, key="two")
    assert third.status == 200


async def test_11_a_full_queue_speaks_each_dialects_words(tmp_path: Path) -> None:
    gate = await TestGate(tmp_path, max_queued=1).start()
    gate.engine.slots = 1
    gate.engine.announce(ready=True)
    gate.engine.hold = asyncio.Event()
    tasks = []
    for _ in range(2):
        tasks.append(asyncio.create_task(gate.send("POST", "/api/chat", CHAT)))
        await settled()
    full, _ = await gate.send("POST", "/api/chat", CHAT)
    assert full.status == 503
    assert json.loads(full.body) == {"error": "server busy, please try again.  maximum pending requests exceeded"}
    assert int(full.headers["retry-after"]) >= 1
    other, _ = await gate.send("POST", "/v1/chat/completions", CHAT)
    assert other.status == 429
    assert gate.log.events().count("request.shed") == 2
    gate.engine.hold.set()
    await asyncio.gather(*tasks)
    await gate.close()


async def test_11_no_capacity(gate: TestGate) -> None:
    gate.engine.announce(ready=False)
    task = asyncio.create_task(gate.send("POST", "/api/chat", CHAT))
    await settled()
    assert not task.done(), "a worker that restarts is waited for"
    gate.engine.announce(ready=True)
    assert (await task)[0].status == 200


# ---- (12) stream


@pytest.mark.parametrize("error", [WorkerDied("gone"), RuntimeError("bug")])
async def test_12_a_failure_before_the_first_byte(gate: TestGate, error: Exception) -> None:
    gate.engine.fail["start"] = error
    reply, _ = await gate.send("POST", "/api/chat", CHAT)
    assert reply.status == (502 if isinstance(error, EngineError) else 500)
    assert gate.log.events() == ["request.authorized", "request.failed"]
    assert len(gate.bugs) == (0 if isinstance(error, EngineError) else 1)


async def test_12_a_failure_in_mid_stream(gate: TestGate) -> None:
    gate.engine.fail["middle"] = WorkerDied("gone")
    reply, _ = await gate.send("POST", "/api/chat", CHAT)
    assert (reply.status, reply.ended) == (200, True)
    assert "error" in lines(reply)[-1]
    sse, _ = await gate.send("POST", "/v1/chat/completions", OPENAI_CHAT)
    assert b'data: {"error"' in sse.body
    assert b"[DONE]" not in sse.body
    whole, _ = await gate.send("POST", "/api/chat", WHOLE)
    assert whole.status == 502


async def timed(gate: TestGate, body: dict[str, Any], target: str = "/api/chat") -> FakeReply:
    """A request of a team with a limit of 30 s, whose engine writes on while 31 s pass."""

    class Slow(FakeEngine):
        async def _events(self, call: Call) -> AsyncIterator[Event]:
            yield Text("Par")
            gate.clock.move(31.0)
            while True:
                yield Text("is")

    limited = dataclasses.replace(gate.policy.teams["one"], max_answer_s=30.0)
    gate.take_policy(teams={**gate.policy.teams, "one": limited})
    gate.engine._events = Slow._events.__get__(gate.engine)  # type: ignore[method-assign]
    reply, _ = await gate.send("POST", target, body)
    return reply


@pytest.mark.parametrize("body", [CHAT, WHOLE])
async def test_12_an_answer_that_takes_too_long_ends_by_length(gate: TestGate, body: dict[str, Any]) -> None:
    reply = await timed(gate, body)
    assert (reply.status, lines(reply)[-1]["done_reason"]) == (200, "length")
    assert "".join(line["message"]["content"] for line in lines(reply)) == "Paris"
    assert (gate.log.events()[-1], gate.engine.running) == ("request.completed", 0)


async def test_12_the_openai_form_of_it(gate: TestGate) -> None:
    reply = await timed(gate, {**OPENAI_CHAT, "stream_options": {"include_usage": True}}, "/v1/chat/completions")
    assert b'"finish_reason":"length"' in reply.body
    assert b'"completion_tokens":2' in reply.body
    assert reply.body.endswith(b"data: [DONE]\n\n")


async def test_12_an_engine_that_says_nothing_is_cut_off(gate: TestGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.time_limit.SILENCE_GRACE_S", 0.0)
    limited = dataclasses.replace(gate.policy.teams["one"], max_answer_s=0.05)
    gate.take_policy(teams={**gate.policy.teams, "one": limited})
    gate.engine.hold = asyncio.Event()
    gate.engine.script = gate.engine.script[-1:]
    reply, _ = await gate.send("POST", "/api/chat", WHOLE)
    assert (reply.status, gate.engine.running) == (504, 0)
    assert gate.log.events()[-1] == "request.failed"


async def test_12_a_taken_slot_is_tried_again(gate: TestGate) -> None:
    gate.engine.fail["start"] = SlotTaken("full")
    task = asyncio.create_task(gate.send("POST", "/api/chat", CHAT))
    await settled()
    del gate.engine.fail["start"]
    gate.engine.report(busy_slots=0)
    assert (await task)[0].status == 200


async def test_12_a_client_that_leaves_frees_the_slot(gate: TestGate) -> None:
    reply, _ = await gate.send("POST", "/api/chat", CHAT, reply=FakeReply(gone_after=1))
    assert gate.engine.running == 0
    await settled()
    assert gate.log.events()[-1] == "request.aborted"
    told = gate.log.entries[-1]["result"]
    assert (told["status"], told["prompt_tokens"], told["output_tokens"]) == (499, 3, 2)
    assert not reply.ended


@pytest.mark.parametrize("waits", ["queue", "stream"])
async def test_a_cancelled_request_gives_everything_back(gate: TestGate, waits: str) -> None:
    if waits == "queue":
        gate.engine.announce(ready=False)
    gate.engine.hold = asyncio.Event()
    task = asyncio.create_task(gate.send("POST", "/api/chat", CHAT, key="two"))
    await settled()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settled()
    assert gate.log.events()[-1] == "request.aborted"
    assert (gate.engine.running, gate.dispatcher.waiting(), gate.running.count()) == (0, 0, 0)
    gate.engine.announce(ready=True)
    gate.engine.hold = None
    assert (await gate.send("POST", "/api/chat", CHAT, key="two"))[0].status == 200


async def test_a_revoked_key_is_cut_in_mid_stream(gate: TestGate) -> None:
    gate.engine.hold = asyncio.Event()
    task = asyncio.create_task(gate.send("POST", "/api/chat", CHAT))
    await settled()
    gate.revoke("one")
    reply, _ = await task
    assert "error" in lines(reply)[-1]
    assert (gate.log.events()[-1], gate.engine.running) == ("request.cut", 0)
    assert (await gate.send("GET", "/api/tags"))[0].status == 401


async def test_a_drain_waits_and_then_cuts(gate: TestGate) -> None:
    gate.engine.hold = asyncio.Event()
    task = asyncio.create_task(gate.send("POST", "/v1/chat/completions", OPENAI_CHAT))
    await settled()
    await gate.running.drained(0.01, asyncio.Event())
    reply, _ = await task
    assert b'"error"' in reply.body
    assert b"[DONE]" not in reply.body
    assert gate.log.events()[-1] == "request.cut"


class StuckReply(FakeReply):
    """A client that reads nothing once its answer is out: the last `write` or `end` never returns."""

    def __init__(self, point: str) -> None:
        super().__init__()
        self.stuck = asyncio.Event()
        self._point = point

    async def write(self, data: bytes) -> None:
        await super().write(data)
        length = int(self.headers.get("content-length", "1000000"))
        assert len(self.body) <= length, "more than was promised"
        if self._point == "write" and len(self.body) == length:
            await self._wait()

    async def end(self) -> None:
        await super().end()
        if self._point == "end":
            await self._wait()

    async def _wait(self) -> None:
        self.stuck.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(("point", "body"), [("end", CHAT), ("write", WHOLE)])
async def test_an_answer_cut_on_its_way_out_is_not_added_to(gate: TestGate, point: str, body: dict[str, Any]) -> None:
    reply = StuckReply(point)
    task = asyncio.create_task(gate.send("POST", "/api/chat", body, reply=reply))
    await reply.stuck.wait()
    whole = reply.body
    gate.revoke("one")
    await task
    assert reply.body == whole
    assert gate.log.events() == ["request.authorized", "request.completed", "request.cut"]
    assert gate.running.count() == 0


async def test_a_refusal_reaches_its_caller_though_the_key_is_revoked_meanwhile(gate: TestGate) -> None:
    submit, recording = gate.log.submit, asyncio.Event()

    async def slowly(entry: dict[str, Any]) -> None:
        await submit(entry)
        recording.set()
        await asyncio.sleep(0.01)

    gate.log.submit = lambda entry, needed: asyncio.ensure_future(slowly(entry))  # type: ignore[method-assign]
    task = asyncio.create_task(gate.send("POST", "/api/chat", {**CHAT, "model": "nothing"}))
    await recording.wait()
    gate.revoke("one")
    reply, _ = await task
    assert (reply.status, reply.ended) == (404, True)
    assert gate.log.events() == ["request.denied"]


# ---- the log


async def test_nothing_is_served_that_cannot_be_recorded(gate: TestGate) -> None:
    gate.log.broken = True
    for method, target, body in (
        ("POST", "/api/chat", CHAT),
        ("POST", "/v1/chat/completions", CHAT),
        ("GET", "/api/tags", None),
    ):
        reply, _ = await gate.send(method, target, body)
        assert reply.status == 503
    assert gate.engine.calls == []
    refused, _ = await gate.send("GET", "/api/tags", key=None)
    assert refused.status == 503


async def test_an_answer_is_whole_only_once_its_record_is_lasting(gate: TestGate) -> None:
    def break_log(_data: bytes) -> None:
        gate.log.broken = True

    reply, _ = await gate.send("POST", "/api/chat", CHAT, reply=FakeReply(on_write=break_log))
    assert "error" in lines(reply)[-1]
    assert not any(line.get("done") for line in lines(reply))


async def test_the_record_stands_before_the_last_bytes(gate: TestGate) -> None:
    seen: list[int] = []
    await gate.send("POST", "/api/chat", CHAT, reply=FakeReply(on_write=lambda _: seen.append(len(gate.log.entries))))
    assert seen == [1, 1, 2]


@pytest.mark.parametrize("point", ["prepare", "start", "middle"])
async def test_no_canary_reaches_the_log_or_an_error(gate: TestGate, point: str) -> None:
    canary = "CANARY-1f3a"
    gate.engine.fail[point] = RuntimeError(canary)
    body = {"model": "m", "messages": [{"role": "user", "content": canary}]}
    reply, _ = await gate.send("POST", "/api/chat", body, headers=(("X-Canary", canary),))
    assert canary not in json.dumps(gate.log.entries)
    assert canary.encode() not in reply.body
    assert gate.keys["one"] not in json.dumps(gate.log.entries)


async def test_a_bug_answers_500_with_an_id(gate: TestGate, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr("gateway.request.authorize_scope", broken)
    for target in ("/api/tags", "/v1/models"):
        reply, _ = await gate.send("GET", target)
        assert reply.status == 500
        assert b"inside" not in reply.body
    assert len(gate.bugs) == 2


async def test_a_client_that_left_before_a_refusal(gate: TestGate) -> None:
    reply, _ = await gate.send("GET", "/nothing", reply=FakeReply(gone_after=0))
    assert reply.status == 404
    with pytest.raises(ClientGone):
        await reply.write(b"x")


async def test_an_allowed_network_of_a_team(tmp_path: Path) -> None:
    far = Team(models=("*",), networks=Networks(allow=("192.0.2.0/24",)))
    gate = await TestGate(tmp_path, teams={"one": far, "two": far}).start()
    assert (await gate.send("GET", "/api/tags"))[0].status == 403
    await gate.close()
