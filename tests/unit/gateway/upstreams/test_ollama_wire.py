"""The wire of an Ollama upstream: what goes out is an allowlist, what comes in becomes events."""

import json
from typing import Any

import msgspec
import pytest

from gateway.upstreams.ollama_wire import WireLine, WireModel, line_events, model_card, request_body
from policies.call import (
    Call,
    Embedded,
    Final,
    Format,
    Message,
    Reasoning,
    Sampling,
    Text,
    Timings,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCalled,
    Usage,
)


def body(call: Call) -> dict[str, Any]:
    return json.loads(request_body(call, 7))


def events(line: dict[str, Any]) -> list[Any]:
    return line_events(msgspec.convert(line, WireLine))


def test_a_chat_travels_whole() -> None:
    call = Call(
        kind="chat",
        model="m:latest",
        messages=(
            Message("user", "hi", images=(b"\x00\x01",)),
            Message("assistant", "", tool_calls=(ToolCall("c1", "f", {"a": 1}),), reasoning="hm"),
            Message("tool", "42", tool_name="f", tool_call_id="c1"),
        ),
        tools=(Tool("f", "does f", {"type": "object"}),),
        sampling=Sampling(temperature=0.0, seed=3, stop=("X",)),
        format=Format("schema", {"type": "object"}),
        think="low",
        top_logprobs=2,
    )
    sent = body(call)
    assert sent["messages"][0] == {"role": "user", "content": "hi", "images": ["AAE="]}
    assert sent["messages"][1]["tool_calls"] == [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}]
    assert sent["messages"][2] == {"role": "tool", "content": "42", "tool_name": "f", "tool_call_id": "c1"}
    assert sent["tools"][0]["function"]["name"] == "f"
    assert (sent["stream"], sent["truncate"], sent["think"]) == (True, True, "low")
    assert (sent["format"], sent["logprobs"], sent["top_logprobs"]) == ({"type": "object"}, True, 2)
    assert sent["options"]["temperature"] == 0.0
    assert (sent["options"]["seed"], sent["options"]["stop"], sent["options"]["num_predict"]) == (3, ["X"], 7)
    assert "cache_scope" not in sent


def test_a_completion_says_what_was_said_and_no_more() -> None:
    sent = body(Call(kind="completion", model="m:latest", prompt="a", raw=True, format=Format("json")))
    assert set(sent) == {"model", "truncate", "stream", "options", "prompt", "raw", "format"}
    assert sent["format"] == "json"
    assert "seed" not in sent["options"]
    assert body(Call(kind="completion", model="m:latest", prompt="a", system=""))["raw"] is False


def test_an_embedding_is_its_inputs() -> None:
    sent = body(Call(kind="embedding", model="m:latest", inputs=("a", "b"), truncate=False))
    assert sent == {"model": "m:latest", "truncate": False, "input": ["a", "b"]}


def test_lines_become_events_in_order() -> None:
    line = {
        "message": {
            "content": "x",
            "thinking": "t",
            "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
        },
        "logprobs": [
            {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": [{"token": "y", "logprob": -1.0}]}
        ],
        "done": True,
        "done_reason": "length",
        "prompt_eval_count": 3,
        "eval_count": 2,
        "prompt_eval_duration": 5,
        "eval_duration": 6,
        "context": [1, 2],
    }
    top = TokenLogprob("y", b"y", -1.0)
    assert events(line) == [
        Reasoning("t"),
        Text("x", (TokenLogprob("x", b"x", -0.5, (top,)),)),
        ToolCalled(ToolCall("", "f", {"a": 1})),
        Final("length", Usage(prompt_tokens=3, output_tokens=2), Timings(prefill_ns=5, decode_ns=6), (1, 2)),
    ]


def test_generate_and_embed_lines() -> None:
    assert events({"response": "a"}) == [Text("a")]
    assert events({"response": ""}) == []
    vectors, final = events({"embeddings": [[1.0, 0.0]], "prompt_eval_count": 4})
    assert vectors == Embedded(((1.0, 0.0),))
    assert final == Final("stop", Usage(prompt_tokens=4))


@pytest.mark.parametrize(
    ("modified_at", "unix_s"), [("2026-08-21T10:11:12.123456789Z", 1787307072.123456), ("yesterday", 0.0)]
)
def test_a_listed_model_becomes_a_card(modified_at: str, unix_s: float) -> None:
    wire = WireModel(name="m:latest", digest="sha256:ab", size=5, modified_at=modified_at, capabilities=["completion"])
    card = model_card(wire, 3)
    assert (card.name, card.digest, card.size_bytes, card.slots) == ("m:latest", "ab", 5, 3)
    assert card.modified_at == pytest.approx(unix_s, abs=1e-3)
