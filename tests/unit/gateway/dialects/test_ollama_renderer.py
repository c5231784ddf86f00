"""Lines as Ollama writes them; the official client's response models are the oracle."""

import json
from typing import Any

import httpx
import ollama
import pytest

from engine.errors import DeadlineExceeded, WorkerDied
from gateway.dialects.contract import Started
from gateway.dialects.ollama_renderer import CHAT, GENERATE, GENERATE_RAW, OllamaRenderer, Shape
from policies.call import Event, Final, Reasoning, Text, Timings, TokenLogprob, ToolCall, ToolCalled, Usage
from policies.errors import Revoked

SECOND_NS = 1_000_000_000
ARRIVED_NS = 1_787_307_072_123_456_789
STARTED = Started(request_id="r1", arrived_ns=ARRIVED_NS, dispatched_ns=ARRIVED_NS + SECOND_NS)
NOW_NS = ARRIVED_NS + 3 * SECOND_NS
NOW = "2026-08-21T10:11:15.123456789Z"
HEAD = {"model": "m", "created_at": NOW}
LOGPROB = TokenLogprob("Paris", b"Paris", -0.5)
WRITTEN_LOGPROB = {"token": "Paris", "logprob": -0.5, "bytes": [80, 97, 114, 105, 115], "top_logprobs": []}
FINAL = Final(
    "stop",
    Usage(prompt_tokens=9, cached_tokens=4, output_tokens=3),
    Timings(prefill_ns=11, decode_ns=22, load_ns=5),
    (1, 2),
)
COUNTS = {
    "total_duration": 3 * SECOND_NS,
    "load_duration": SECOND_NS + 5,
    "prompt_eval_count": 9,
    "prompt_eval_duration": 11,
    "eval_count": 3,
    "eval_duration": 22,
}
TOOL = ToolCalled(ToolCall("call_12345678", "f", {"b": [1], "a": None}))
WRITTEN_TOOL = {"id": "call_12345678", "function": {"index": 0, "name": "f", "arguments": {"b": [1], "a": None}}}
END = {"done": True, "done_reason": "stop"}


def made(shape: Shape, *, streamed: bool) -> OllamaRenderer:
    renderer = OllamaRenderer("m", shape, streamed=streamed)
    renderer.start(STARTED)
    return renderer


def rendered(shape: Shape, *events: Event, streamed: bool = True) -> list[dict[str, Any]]:
    renderer = made(shape, streamed=streamed)
    written = [renderer.event(event, NOW_NS) for event in events]
    if not streamed:
        assert not any(written[:-1])
        return [json.loads(written[-1])]
    lines = b"".join(written).split(b"\n")
    assert lines.pop() == b""
    assert all(lines)
    found = [json.loads(line) for line in lines]
    for line in found:
        (ollama.ChatResponse if shape is CHAT else ollama.GenerateResponse).model_validate(line)
    return found


def test_chat_streamed() -> None:
    lines = rendered(CHAT, Reasoning("hm"), Text("Pa"), Text(""), Text("ris", (LOGPROB,)), TOOL, FINAL)
    say = {"role": "assistant", "content": ""}
    assert lines == [
        HEAD | {"message": say | {"thinking": "hm"}, "done": False},
        HEAD | {"message": say | {"content": "Pa"}, "done": False},
        HEAD | {"message": say | {"content": "ris"}, "done": False, "logprobs": [WRITTEN_LOGPROB]},
        HEAD | {"message": say | {"tool_calls": [WRITTEN_TOOL]}, "done": False},
        HEAD | {"message": say} | END | COUNTS,
    ]


def test_chat_whole() -> None:
    events = (Reasoning("hm"), Text("Pa"), Text("ris", (LOGPROB,)), TOOL, FINAL)
    (answer,) = rendered(CHAT, *events, streamed=False)
    message = {"role": "assistant", "content": "Paris", "thinking": "hm", "tool_calls": [WRITTEN_TOOL]}
    assert answer == HEAD | {"message": message, "logprobs": [WRITTEN_LOGPROB]} | END | COUNTS
    read = ollama.ChatResponse.model_validate(answer)
    assert read.message.content == "Paris"
    assert read.message.tool_calls is not None
    assert read.message.tool_calls[0].function.arguments == {"b": [1], "a": None}


def test_generate_streamed_holds_tool_calls_for_the_last_line() -> None:
    lines = rendered(GENERATE, Reasoning("hm"), Text("Pa"), TOOL, Text("ris"), FINAL)
    assert lines == [
        HEAD | {"response": "", "thinking": "hm", "done": False},
        HEAD | {"response": "Pa", "done": False},
        HEAD | {"response": "ris", "done": False},
        HEAD | {"response": "", "tool_calls": [WRITTEN_TOOL], "context": [1, 2]} | END | COUNTS,
    ]


def test_generate_whole() -> None:
    (answer,) = rendered(GENERATE, Text("Pa"), Text("ris"), FINAL, streamed=False)
    assert answer == HEAD | {"response": "Paris", "context": [1, 2]} | END | COUNTS
    assert ollama.GenerateResponse.model_validate(answer).context == [1, 2]


def test_raw_has_no_context() -> None:
    (answer,) = rendered(GENERATE_RAW, Text("x"), FINAL, streamed=False)
    assert "context" not in answer


def test_zero_counts_are_left_out() -> None:
    renderer = OllamaRenderer("m", CHAT, streamed=True)
    renderer.start(Started(request_id="r", arrived_ns=NOW_NS, dispatched_ns=NOW_NS))
    line = json.loads(renderer.event(Final("length"), NOW_NS))
    say = {"role": "assistant", "content": ""}
    assert line == HEAD | {"message": say, "done": True, "done_reason": "length"}


def test_tool_calls_end_as_stop() -> None:
    assert rendered(CHAT, TOOL, Final("tool_calls"))[-1]["done_reason"] == "stop"


def test_text_with_line_breaks_of_every_kind_is_one_line() -> None:
    (line, _) = rendered(CHAT, Text("a\n\r\u2028\u2029\x85\x1eb"), FINAL)
    assert line["message"]["content"] == "a\n\r\u2028\u2029\x85\x1eb"


def test_failure_in_mid_stream_is_an_error_line() -> None:
    renderer = made(CHAT, streamed=True)
    renderer.event(Text("Pa"), NOW_NS)
    assert renderer.failure(WorkerDied("secret"), "r1") == b'{"error":"upstream failed"}\n'
    assert renderer.failure(Revoked("secret"), "r1") == b'{"error":"unauthorized"}\n'
    assert renderer.failure(None, "r1") == b'{"error":"internal server error, request r1"}\n'


def test_the_time_limit_ends_what_was_said_as_length() -> None:
    renderer = made(CHAT, streamed=True)
    assert "error" in json.loads(renderer.failure(DeadlineExceeded("r"), "r1"))
    renderer.event(Text("Pa"), NOW_NS)
    line = json.loads(renderer.failure(DeadlineExceeded("r"), "r1"))
    assert (line["done"], line["done_reason"], line["created_at"]) == (True, "length", NOW)


def test_content_types() -> None:
    assert made(CHAT, streamed=True).content_type == "application/x-ndjson"
    assert made(CHAT, streamed=False).content_type == "application/json; charset=utf-8"


def client_reading(data: bytes) -> ollama.Client:
    return ollama.Client(host="http://gate", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=data)))


def test_the_official_client_reads_the_stream() -> None:
    renderer = made(CHAT, streamed=True)
    nasty = "a\u2028b\x85c\nd"
    data = b"".join(renderer.event(event, NOW_NS) for event in (Text(nasty), TOOL, FINAL))
    parts = list(client_reading(data).chat("m", stream=True))
    assert "".join(part.message.content or "" for part in parts) == nasty
    assert (parts[-1].done, parts[-1].eval_count) == (True, 3)


def test_the_official_client_raises_what_broke_the_stream() -> None:
    renderer = made(CHAT, streamed=True)
    data = renderer.event(Text("Pa"), NOW_NS) + renderer.failure(WorkerDied("r"), "r1")
    with pytest.raises(ollama.ResponseError, match="upstream failed"):
        list(client_reading(data).chat("m", stream=True))
