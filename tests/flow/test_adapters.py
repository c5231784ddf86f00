"""An adapter is a model to callers, policy and log, and runs on its base model's workers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from policies.policy import Limits, Team
from tests.fakes import card
from tests.flow.gates import TestGate

CHAT = {"messages": [{"role": "user", "content": "hi"}], "stream": False}
TEAMS = {"base": Team(models=("m:latest",)), "own": Team(models=("sql:1",)), "all": Team(models=("*",))}


async def made(folder: Path, **policy: Any) -> TestGate:
    gate = TestGate(folder, teams=TEAMS, **policy)
    gate.engine.cards = (card("m:latest"), card("sql:1", parent="m:latest"), card("poet:1", parent="m:latest"))
    await gate.start()
    for team in TEAMS:
        gate.add_key(team, team)
    return gate


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await made(tmp_path)
    yield gate
    await gate.close()


@pytest.mark.parametrize(("target", "name"), [("/api/chat", "SQL:1"), ("/v1/chat/completions", "sql:1")])
async def test_it_is_named_as_a_model_and_runs_on_its_base(gate: TestGate, target: str, name: str) -> None:
    reply, _ = await gate.send("POST", target, {**CHAT, "model": name}, key="own")
    assert reply.status == 200, reply.body
    (call,) = gate.engine.calls
    assert (call.model, call.adapter, call.cache_scope) == ("m:latest", "sql:1", "team:own")
    ran = [entry for entry in gate.log.entries if entry["event"] == "request.completed"]
    assert (ran[0]["action"]["model"], ran[0]["action"]["base_model"]) == ("sql:1", "m:latest")
    assert json.loads(reply.body)["model"] == name


async def test_the_bare_model_has_no_adapter_whoever_asks_for_one(gate: TestGate) -> None:
    reply, _ = await gate.send("POST", "/v1/chat/completions", {**CHAT, "model": "m", "adapter": "sql:1"}, key="all")
    assert reply.status == 200
    assert gate.engine.calls[0].adapter == ""
    assert "base_model" not in gate.log.entries[-1]["action"]


@pytest.mark.parametrize(("key", "name"), [("base", "sql:1"), ("own", "m"), ("own", "poet:1"), ("all", "none:1")])
async def test_a_name_that_is_not_allowed_is_unknown(gate: TestGate, key: str, name: str) -> None:
    """The base's permission is none for its adapters, an adapter's none for its base or another adapter."""
    for target in ("/api/chat", "/v1/chat/completions", "/api/show"):
        reply, _ = await gate.send("POST", target, {**CHAT, "model": name}, key=key)
        assert reply.status == 404, reply.body
    assert gate.engine.calls == []


@pytest.mark.parametrize(("key", "names"), [("base", ["m:latest"]), ("own", ["sql:1"])])
async def test_lists_show_what_is_allowed(gate: TestGate, key: str, names: list[str]) -> None:
    tags, _ = await gate.send("GET", "/api/tags", key=key)
    assert [each["name"] for each in json.loads(tags.body)["models"]] == names
    models, _ = await gate.send("GET", "/v1/models", key=key)
    assert [each["id"] for each in json.loads(models.body)["data"]] == names


async def test_each_dialect_tells_the_base(gate: TestGate) -> None:
    tags, _ = await gate.send("GET", "/api/tags", key="all")
    parents = {each["name"]: each["details"]["parent_model"] for each in json.loads(tags.body)["models"]}
    assert parents == {"m:latest": "", "poet:1": "m:latest", "sql:1": "m:latest"}
    one, _ = await gate.send("GET", "/v1/models/sql:1", key="own")
    assert json.loads(one.body)["parent"] == "m:latest"
    assert json.loads(one.body)["root"] == "sql:1"
    plain, _ = await gate.send("GET", "/v1/models/m", key="base")
    assert "parent" not in json.loads(plain.body)
    shown, _ = await gate.send("POST", "/api/show", {"model": "sql:1"}, key="own")
    assert json.loads(shown.body)["modelfile"].splitlines()[:2] == ["FROM m:latest", "ADAPTER sql:1"]


@pytest.mark.parametrize(("target", "field"), [("/api/embed", "input"), ("/v1/embeddings", "input")])
async def test_it_makes_no_vectors(gate: TestGate, target: str, field: str) -> None:
    reply, _ = await gate.send("POST", target, {"model": "sql:1", field: "x"}, key="own")
    assert reply.status == 400
    assert b"does not support embeddings: it is an adapter" in reply.body
    assert gate.engine.calls == []


@pytest.mark.parametrize("limited", ["m", "sql:1"])
async def test_the_limits_of_either_bound_it(tmp_path: Path, limited: str) -> None:
    """Else an adapter would be the way round its base's limit."""
    gate = await made(tmp_path, model_limits={limited: Limits(requests_per_minute=60, burst_requests=1)})
    statuses = [
        (await gate.send("POST", "/api/chat", {**CHAT, "model": "sql:1"}, key="own"))[0].status for _ in range(2)
    ]
    assert statuses == [200, 429]
    await gate.close()


async def test_an_adapter_that_no_worker_has_loaded_is_no_capacity(gate: TestGate) -> None:
    """Never the bare model's answer instead."""
    gate.engine.cards = tuple(each for each in gate.engine.cards if each.name != "sql:1")
    gate.engine.announce(ready=True)
    gate.engine.cards = (*gate.engine.cards, card("sql:1", parent="m:latest"))
    reply, _ = await gate.send("POST", "/v1/chat/completions", {**CHAT, "model": "sql:1"}, key="own")
    assert reply.status == 503
    assert gate.engine.calls == []
    other, _ = await gate.send("POST", "/v1/chat/completions", {**CHAT, "model": "m"}, key="base")
    assert other.status == 200
