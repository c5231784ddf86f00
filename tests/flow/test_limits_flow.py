"""Limits through the whole flow: which limit is named, to whom, in both dialects; and what is settled at each end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UpstreamFailed, WorkerDied
from policies.call import Final, Reasoning, Text, ToolCall, ToolCalled, Usage
from policies.errors import PolicyUnavailable
from policies.limiting.limits import Reservation, Used
from policies.policy import AddressLimits, KeyLimits, Limits, Team
from tests.fakes import FakeReply
from tests.flow.gates import TestGate

PLACES = {
    "address": "your address",
    "key": "this key",
    "team": "team one",
    "model": "model m:latest",
    "all": "all callers",
}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "requests": ({"requests_per_minute": 1, "burst_requests": 1}, "1 request a minute for {}"),
    "prompt": ({"prompt_tokens_per_minute": 5}, "5 prompt tokens a minute for {}"),
    "output": ({"output_tokens_per_minute": 17}, "17 output tokens a minute for {}"),
    "concurrency": ({"concurrent_requests": 1}, "1 concurrent request for {}"),
    "day": ({"tokens_per_day": 23}, "23 tokens a day for {}"),
    "month": ({"tokens_per_month": 23}, "23 tokens a month for {}"),
}
"""A first request (3 prompt tokens, at most 16 of output, 2 used) passes each of them, a second none."""
REASONS = {
    "requests": "rate_limited_{}",
    "prompt": "prompt_tokens_limited_{}",
    "output": "output_tokens_limited_{}",
    "concurrency": "concurrency_limited_{}",
    "day": "day_budget_used_up_{}",
    "month": "month_budget_used_up_{}",
}
OLLAMA = ("/api/chat", {"options": {"num_predict": 16}})
OPENAI = ("/v1/chat/completions", {"max_tokens": 16})
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}
UNBOUND = KeyLimits(requests_per_minute=None, concurrent_requests=None)


def policy_of(place: str, limits: Limits, **team: Any) -> dict[str, Any]:
    """What TestGate needs for `limits` at `place` and nothing bound elsewhere."""
    figures = {each.name: getattr(limits, each.name) for each in fields(limits)}
    one = Team(
        models=("*",),
        limits=limits if place == "team" else Limits(),
        key_limits=KeyLimits(**figures) if place == "key" else UNBOUND,
        **team,
    )
    return {
        "teams": {"one": one, "two": Team(models=("*",), key_limits=UNBOUND)},
        "limits": limits if place == "all" else Limits(),
        "address_limits": AddressLimits(**(figures if place == "address" else {"requests_per_minute": None})),
        "model_limits": {"m": limits} if place == "model" else {},
    }


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[list[TestGate]]:
    gates: list[TestGate] = []
    yield gates
    for gate in gates:
        await gate.close()


async def start(made: list[TestGate], folder: Path, place: str, limits: Limits, **team: Any) -> TestGate:
    gate = await TestGate(folder, **policy_of(place, limits, **team)).start()
    made.append(gate)
    return gate


async def chat(gate: TestGate, dialect: tuple[str, dict[str, Any]] = OPENAI, **send: Any) -> FakeReply:
    return (await gate.send("POST", dialect[0], {**CHAT, **dialect[1]}, **send))[0]


def text_of(reply: FakeReply) -> str:
    error = json.loads(reply.body)["error"]
    return error if isinstance(error, str) else error["message"]


async def running(gate: TestGate) -> asyncio.Task[FakeReply]:
    """A request that has begun and does not end by itself."""
    gate.engine.hold = asyncio.Event()
    task = asyncio.create_task(chat(gate))
    await until(lambda: gate.engine.running > 0)
    return task


async def until(ready: Callable[[], bool]) -> None:
    """Let the others run until `ready`."""
    async with asyncio.timeout(30):
        while not ready():  # noqa: ASYNC110  # a budget is on disk before its request goes on
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("dialect", [OLLAMA, OPENAI], ids=["ollama", "openai"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
async def test_the_limit_that_was_hit_is_named(
    made: list[TestGate], tmp_path: Path, place: str, kind: str, dialect: tuple[str, dict[str, Any]]
) -> None:
    figures, words = KINDS[kind]
    gate = await start(made, tmp_path, place, Limits(**figures))
    first = await running(gate) if kind == "concurrency" else None
    if first is None:
        assert (await chat(gate)).status == 200
    refused = await chat(gate, dialect)
    assert refused.status == 429
    assert words.format(PLACES[place]) in text_of(refused)
    assert gate.log.entries[-1]["event"] == "request.limited"
    assert gate.log.entries[-1]["decision"]["reason"] == REASONS[kind].format(place)
    assert len(gate.engine.calls) == 1
    if first is not None and gate.engine.hold is not None:
        gate.engine.hold.set()
        assert (await first).status == 200
    # Who comes back when told to is served; a day's budget says so too, and that sooner makes no sense.
    gate.clock.move(int(refused.headers["retry-after"]))
    assert ("x-should-retry" in refused.headers) == (kind in ("day", "month"))
    assert (await chat(gate, dialect)).status == 200


@pytest.mark.parametrize("place", ["address", "key", "team"])
async def test_who_is_not_meant_is_not_touched(made: list[TestGate], tmp_path: Path, place: str) -> None:
    gate = await start(made, tmp_path, place, Limits(requests_per_minute=1, burst_requests=1))
    gate.add_key("mate", "one")
    assert (await chat(gate)).status == 200
    others = {"address": {"peer": "127.0.0.2"}, "key": {"key": "mate"}, "team": {"key": "two"}}
    assert (await chat(gate, **others[place])).status == 200
    assert (await chat(gate)).status == 429
    mate = await chat(gate, key="mate")
    assert mate.status == (429 if place in ("team", "address") else mate.status)


async def test_a_request_rate_stays_charged_when_a_later_step_refuses(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", Limits(requests_per_minute=1, burst_requests=1))
    assert (await gate.send("GET", "/nothing"))[0].status == 404
    assert (await gate.send("GET", "/api/tags"))[0].status == 429


async def test_step_10_charges_nothing_when_one_of_its_claims_refuses(made: list[TestGate], tmp_path: Path) -> None:
    limits = Limits(output_tokens_per_minute=40, concurrent_requests=1, tokens_per_day=60)
    gate = await start(made, tmp_path, "key", limits)
    first = await running(gate)
    assert [(await chat(gate)).status for _ in range(5)] == [429] * 5
    assert gate.engine.hold is not None
    gate.engine.hold.set()
    assert (await first).status == 200
    assert (await chat(gate)).status == 200


async def test_what_can_never_fit_is_refused_for_good(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", Limits(prompt_tokens_per_minute=2))
    refused = await chat(gate)
    assert refused.status == 429
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert text_of(refused).startswith(
        "the request is larger than the limit allows at all: 2 prompt tokens a minute for team one; "
    )
    assert gate.log.entries[-1]["decision"]["reason"] == "beyond_prompt_tokens_limited_team"


async def test_an_answer_is_no_longer_than_a_minute_s_limit(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "model", Limits(output_tokens_per_minute=10))
    assert (await gate.send("POST", "/api/chat", CHAT))[0].status == 200
    assert gate.engine.calls[0].max_output_tokens == 10


async def test_an_embedding_reserves_no_answer(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", Limits(output_tokens_per_minute=1, tokens_per_day=3))
    reply, _ = await gate.send("POST", "/v1/embeddings", {"model": "m", "input": "hi"})
    assert reply.status == 200


async def test_report_refuses_nothing_and_is_told_in_the_log(made: list[TestGate], tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=1, burst_requests=1, tokens_per_day=1, mode="report")
    gate = await start(made, tmp_path, "team", limits)
    assert [(await chat(gate)).status for _ in range(2)] == [200, 200]
    told = [entry["decision"].get("would_refuse") for entry in gate.log.entries]
    day = "day_budget_used_up_team"
    assert told == [day, day, f"rate_limited_team {day}", f"rate_limited_team {day}"]


async def test_headers_tell_what_is_left(made: list[TestGate], tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=60, burst_requests=2, output_tokens_per_minute=40)
    gate = await start(made, tmp_path, "key", limits)
    reply = await chat(gate)
    shown = {name: value for name, value in reply.headers.items() if name.startswith("x-ratelimit")}
    assert shown == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "40",
        "x-ratelimit-remaining-tokens": "24",
        "x-ratelimit-reset-tokens": "1m1s",
    }
    streamed = (await gate.send("POST", "/v1/chat/completions", {**CHAT, "stream": True, "max_tokens": 16}))[0]
    assert streamed.headers["x-ratelimit-remaining-requests"] == "0"
    refused = await chat(gate)
    assert refused.status == 429
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] == "1s"


async def test_a_model_s_and_everybody_s_standing_is_not_told(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "all", Limits(requests_per_minute=1, burst_requests=1))
    replies = [await chat(gate), await chat(gate)]
    assert [reply.status for reply in replies] == [200, 429]
    assert not any(name.startswith("x-ratelimit") for reply in replies for name in reply.headers)


# ---- settling: the engine's own counts, however the request ends


class Recorded:
    """What the gate settled, in order."""

    def __init__(self, gate: TestGate) -> None:
        self.used: list[Used] = []
        self._settle = gate.gate.store.settle
        gate.gate.store.settle = self  # type: ignore[method-assign]

    async def __call__(self, reservation: Reservation, used: Used) -> None:
        self.used.append(used)
        await self._settle(reservation, used)


LIMITS = Limits(prompt_tokens_per_minute=10**6, output_tokens_per_minute=10**6, tokens_per_day=10**6)


def charged(gate: TestGate) -> int:
    return sum(gate.budgets.charged(name, period) for name, period in gate.budgets._accounts)


async def test_settled_with_the_engines_own_counts(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", LIMITS)
    settled = Recorded(gate)
    gate.engine.script = [Text("a"), Final("stop", Usage(prompt_tokens=2, cached_tokens=1, output_tokens=7))]
    await chat(gate)
    assert settled.used == [Used(prompt_tokens=2, output_tokens=7)]
    assert charged(gate) == 9


async def test_an_upstream_that_used_more_than_it_estimated_is_charged_so(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", Limits(prompt_tokens_per_minute=100))
    gate.engine.script = [Text("a"), Final("stop", Usage(prompt_tokens=150, output_tokens=1))]
    assert (await chat(gate)).status == 200
    refused = await chat(gate)
    assert (refused.status, refused.headers["retry-after"]) == (429, "61")


@pytest.mark.parametrize("error", [WorkerDied("x"), UpstreamFailed("x")])
async def test_what_fails_for_our_reasons_costs_what_was_given(
    made: list[TestGate], tmp_path: Path, error: Exception
) -> None:
    gate = await start(made, tmp_path, "team", LIMITS)
    settled = Recorded(gate)
    gate.engine.fail["start"] = error
    assert (await chat(gate)).status == 502
    del gate.engine.fail["start"]
    gate.engine.fail["middle"] = error
    assert (await chat(gate)).status == 502
    assert settled.used == [Used(), Used(prompt_tokens=3, output_tokens=2)]
    assert charged(gate) == 5


async def test_who_leaves_in_the_queue_pays_nothing(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", LIMITS)
    gate.engine.slots = 1
    gate.engine.announce(ready=True)
    settled = Recorded(gate)
    first = await running(gate)
    second = asyncio.create_task(chat(gate))
    await until(lambda: gate.log.events() == ["request.authorized"] * 2)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert settled.used == [Used()]
    assert gate.engine.hold is not None
    gate.engine.hold.set()
    await first
    assert charged(gate) == 5


async def test_who_leaves_in_the_middle_pays_for_the_prompt_and_what_came(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", LIMITS)
    settled = Recorded(gate)
    task = await running(gate)
    for _ in range(20):  # both words pass
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert settled.used == [Used(prompt_tokens=3, output_tokens=2)]
    assert charged(gate) == 5


async def test_who_leaves_pays_for_tokens_held_back_for_a_piece_and_for_tool_calls(
    made: list[TestGate], tmp_path: Path
) -> None:
    gate = await start(made, tmp_path, "team", LIMITS)
    settled = Recorded(gate)
    gate.engine.fail["middle"] = UpstreamFailed("x")
    for script in (Text("a", tokens=5), ToolCalled(ToolCall("1", "f", {"a": "x" * 400})), Reasoning("a")):
        gate.engine.script = [script, Final("stop")]
        await chat(gate)
    assert [each.output_tokens for each in settled.used] == [5, pytest.approx(110, abs=5), 1]


async def test_who_leaves_before_the_first_word_still_pays_for_the_prompt(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", LIMITS)
    settled = Recorded(gate)
    gate.engine.script = [Final("stop", Usage(prompt_tokens=3))]
    task = await running(gate)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert settled.used == [Used(prompt_tokens=3)]


async def test_a_bug_in_the_engine_settles_too(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "key", Limits(concurrent_requests=1))
    gate.engine.fail["start"] = RuntimeError("bug")
    assert (await chat(gate)).status == 500
    gate.engine.fail.clear()
    assert (await chat(gate)).status == 200


async def test_a_store_that_is_away_refuses(made: list[TestGate], tmp_path: Path) -> None:
    gate = await start(made, tmp_path, "team", LIMITS)

    async def away(*_: Any) -> Any:
        raise PolicyUnavailable("store_away")

    take = gate.gate.store.take
    gate.gate.store.take = away  # type: ignore[method-assign]
    assert (await chat(gate)).status == 503
    gate.gate.store.take = take  # type: ignore[method-assign]
    gate.gate.store.reserve = away  # type: ignore[method-assign]
    assert (await chat(gate)).status == 503
    assert gate.engine.calls == []


async def test_budgets_are_there_again_after_a_restart(made: list[TestGate], tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    limits = Limits(tokens_per_month=23)
    first = await start(made, tmp_path / "first", "team", limits)
    assert (await chat(first)).status == 200
    await first.budgets.durable()
    for name in ("limits.db", "limits.db-wal"):
        (tmp_path / "second" / name).write_bytes((tmp_path / "first" / name).read_bytes())
    second = await start(made, tmp_path / "second", "team", limits)
    assert (await chat(second)).status == 429
