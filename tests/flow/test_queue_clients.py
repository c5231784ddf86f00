"""Official clients and the queue, on a real connection: what they pass over, when they leave."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import openai
import pytest
import uvloop

from bench.proofs.stream_sizes import serving
from gateway.stream_shape import StreamMode
from tests.flow.gates import TestGate

pytestmark = pytest.mark.slow

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
MODES = pytest.mark.parametrize("mode", ["plain", "padded", "batched"])
PATIENCE_S = 20.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (a client in another thread moves it)
            await asyncio.sleep(0.01)


def client_of(gate: TestGate, port: int, trusted: ssl.SSLContext) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"https://localhost:{port}/v1",
        api_key=gate.keys["one"],
        http_client=openai.DefaultHttpxClient(verify=trusted),
        max_retries=0,
        default_headers={"X-Queue-Events": "1"},
    )


def one_slot(gate: TestGate) -> asyncio.Event:
    gate.engine.slots = 1
    gate.engine.announce(ready=True)
    gate.engine.hold = asyncio.Event()
    return gate.engine.hold


@MODES
async def test_the_official_client_passes_over_the_events(tmp_path: Path, mode: StreamMode) -> None:
    async with serving(tmp_path, mode) as (gate, port, trusted):
        held = one_slot(gate)

        def ask() -> str:
            with client_of(gate, port, trusted) as client:
                stream = client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": "hello"}], stream=True
                )
                return "".join(part.choices[0].delta.content or "" for part in stream if part.choices)

        first = asyncio.create_task(asyncio.to_thread(ask))
        await until(lambda: gate.engine.running == 1)
        second = asyncio.create_task(asyncio.to_thread(ask))
        await until(lambda: gate.dispatcher.waiting() == 1)
        held.set()
        assert await asyncio.gather(first, second) == ["Paris", "Paris"]


async def test_a_client_that_closes_while_it_waits_frees_its_place(tmp_path: Path) -> None:
    async with serving(tmp_path, "plain") as (gate, port, trusted):
        held = one_slot(gate)
        opened = []

        def ask() -> None:
            client = client_of(gate, port, trusted)
            opened.append(client)
            opened.append(
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}], stream=True)
            )

        await asyncio.to_thread(ask)
        await until(lambda: gate.engine.running == 1)
        await asyncio.to_thread(ask)  # its stream has begun: it reads the events of its wait
        assert gate.dispatcher.waiting() == 1
        for each in reversed(opened[2:]):
            each.close()
        await until(lambda: gate.dispatcher.waiting() == 0)
        held.set()
        for each in reversed(opened[:2]):
            each.close()
        await until(lambda: gate.running.count() == 0)
        assert len(gate.engine.calls) == 1
        assert gate.bugs == []
