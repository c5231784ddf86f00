"""`keep_alive` and `/api/ps`: what a caller can do to the models that others use, and what it sees of them."""

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from engine.residency import Residence
from tests.flow.gates import BOTH, TestGate

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}
LOAD = {"model": "m", "messages": []}
EMBED = {"model": "m", "input": "a"}


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    gate.add_key("admin", "one", scopes=BOTH | {"admin"})
    yield gate
    await gate.close()


@pytest.fixture
def kept(gate: TestGate) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    gate.gate.keep = lambda model, seconds: found.append((model, seconds))
    gate.gate.keep_alive_most_s = 600.0
    return found


async def hint(gate: TestGate, path: str, body: dict[str, object], keep_alive: object, key: str = "one") -> None:
    reply, _ = await gate.send("POST", path, {**body, "keep_alive": keep_alive}, key=key)
    assert reply.status == 200


@pytest.mark.parametrize(("path", "body"), [("/api/chat", CHAT), ("/api/chat", LOAD), ("/api/embed", EMBED)])
async def test_a_callers_hint_is_bounded_and_unloads_or_pins_nothing(
    gate: TestGate, kept: list[tuple[str, float]], path: str, body: dict[str, object]
) -> None:
    for keep_alive in ("5m", 1e9, 0, -1, "-1s", None):
        await hint(gate, path, body, keep_alive)
    assert kept == [("m:latest", 300.0), ("m:latest", 600.0)]


async def test_an_administrators_hint_counts_as_it_is(gate: TestGate, kept: list[tuple[str, float]]) -> None:
    for keep_alive in (0, -1):
        await hint(gate, "/api/generate", {"model": "m", "prompt": ""}, keep_alive, key="admin")
    assert kept == [("m:latest", 0.0), ("m:latest", math.inf)]


async def test_nobody_hints_at_a_model_that_is_not_the_teams(gate: TestGate, kept: list[tuple[str, float]]) -> None:
    reply, _ = await gate.send("POST", "/api/chat", {**LOAD, "model": "secret", "keep_alive": 60})
    assert (reply.status, kept) == (404, [])


async def test_ps_shows_the_teams_models_that_are_in_memory_and_until_when(gate: TestGate) -> None:
    now_s = gate.clock.mono_ns() / 1e9
    gate.engine.cards = tuple(structs.replace(each, slots=2) for each in gate.engine.cards)
    worker = Residence(
        name="worker-0", model="m:latest", role="chat", needs_bytes=1, state="loaded", since_s=0.0, expires_s=now_s + 60
    )
    for state, names in (("loaded", ["m:latest"]), ("unloaded", [])):
        told = (structs.replace(worker, state=state),)
        gate.gate.residences = lambda told=told: told
        reply, _ = await gate.send("GET", "/api/ps")
        shown = json.loads(reply.body)["models"]
        assert [each["name"] for each in shown] == names
        assert all(each["expires_at"] < "2200" for each in shown)
