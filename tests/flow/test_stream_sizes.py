"""Padded and batched streams on a real connection: what the line shows, and what official clients read."""

import asyncio
import ssl
from typing import Any

import ollama
import openai
import pytest
import uvloop

from bench.proofs.stream_sizes import MOST_SIZES, serving, sizes_of_streams
from gateway.stream_shape import StreamMode
from policies.call import Final, Text, Usage

pytestmark = pytest.mark.slow

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
PIECES = ["Par", "is ", "é漢", "\n\n", ": no comment", "x" * 9000, "."]
ANSWER = "".join(PIECES)
SHAPED = pytest.mark.parametrize("mode", ["padded", "batched"])


@SHAPED
async def test_fifty_streams_show_at_most_four_sizes(tmp_path, mode):
    """The small size of `make prove P=stream_sizes`."""
    found = await sizes_of_streams(tmp_path, 50, mode)
    assert found["sizes"] <= MOST_SIZES


async def test_plain_streams_show_many(tmp_path):
    assert (await sizes_of_streams(tmp_path, 20, "plain"))["sizes"] > MOST_SIZES


def ask_ollama(url: str, key: str, trusted: ssl.SSLContext) -> dict[str, str]:
    client = ollama.Client(host=url, verify=trusted, headers={"Authorization": f"Bearer {key}"})
    try:
        messages = [{"role": "user", "content": "hello"}]
        chat = client.chat(model="m", messages=messages, stream=True)
        generated = client.generate(model="m", prompt="hello", stream=True)
        return {
            "chat": "".join(part.message.content or "" for part in chat),
            "generate": "".join(part.response for part in generated),
        }
    finally:
        client._client.close()


def ask_openai(url: str, key: str, trusted: ssl.SSLContext) -> dict[str, str]:
    with (
        openai.DefaultHttpxClient(verify=trusted) as http,
        openai.OpenAI(base_url=f"{url}/v1", api_key=key, http_client=http, max_retries=0) as client,
    ):
        messages: list[Any] = [{"role": "user", "content": "hello"}]
        usage = {"include_usage": True}
        chat = list(client.chat.completions.create(model="m", messages=messages, stream=True, stream_options=usage))
        assert chat[-1].usage is not None
        completion = client.completions.create(model="m", prompt="hello", stream=True)
        return {
            "chat": "".join(part.choices[0].delta.content or "" for part in chat if part.choices),
            "completion": "".join(part.choices[0].text for part in completion if part.choices),
        }


@SHAPED
async def test_official_clients_read_them_whole(tmp_path, mode: StreamMode):
    async with serving(tmp_path, mode) as (gate, port, trusted):
        gate.engine.script = [*map(Text, PIECES), Final("stop", Usage(prompt_tokens=3, output_tokens=len(PIECES)))]
        for ask in (ask_ollama, ask_openai):
            told = await asyncio.to_thread(ask, f"https://localhost:{port}", gate.keys["one"], trusted)
            assert set(told.values()) == {ANSWER}
        assert gate.bugs == []


@SHAPED
async def test_a_stream_that_breaks_says_so_after_what_was_held_back(tmp_path, mode: StreamMode):
    async with serving(tmp_path, mode) as (gate, port, trusted):
        gate.engine.script = [*map(Text, ("one ", "two ", "three")), Final("stop", Usage())]
        gate.engine.fail["middle"] = RuntimeError("worker died")

        def ask() -> str:
            client = ollama.Client(
                host=f"https://localhost:{port}",
                verify=trusted,
                headers={"Authorization": f"Bearer {gate.keys['one']}"},
            )
            text = ""
            try:
                for part in client.generate(model="m", prompt="hello", stream=True):
                    text += part.response
            except ollama.ResponseError:
                return text
            finally:
                client._client.close()
            raise AssertionError("no error was told")

        assert await asyncio.to_thread(ask) == "one two three"
