"""Events and objects as OpenAI writes them; the official client's types are the oracle."""

import json
from typing import Any

from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from engine.errors import DeadlineExceeded, WorkerDied
from gateway.dialects.contract import Started
from gateway.dialects.openai_renderer import ChatRenderer, CompletionRenderer, OpenAIRenderer
from policies.call import Event, Final, Reasoning, Text, TokenLogprob, ToolCall, ToolCalled, Usage
from policies.errors import Revoked

STARTED = Started(request_id="r1", arrived_ns=1_787_307_072_999_999_999, dispatched_ns=1_787_307_073_000_000_000)
HEAD = {"id": "chatcmpl-r1", "created": 1_787_307_072, "model": "m", "system_fingerprint": "fp_corral"}
CHUNK = HEAD | {"object": "chat.completion.chunk"}
TEXT_HEAD = HEAD | {"id": "cmpl-r1", "object": "text_completion"}
FINAL = Final("stop", Usage(prompt_tokens=9, cached_tokens=4, output_tokens=3))
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
}
TOOL = ToolCalled(ToolCall("call_1", "f", {"b": [1], "a": "ü"}))
WRITTEN_TOOL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"b":[1],"a":"ü"}'}}
LOGPROB = TokenLogprob("Pa", b"Pa", -0.5, (TokenLogprob("Lo", b"Lo", -2.0),))
WRITTEN_LOGPROBS = {
    "content": [
        {
            "token": "Pa",
            "logprob": -0.5,
            "bytes": [80, 97],
            "top_logprobs": [{"token": "Lo", "logprob": -2.0, "bytes": [76, 111]}],
        }
    ],
    "refusal": None,
}


def started(renderer: OpenAIRenderer) -> OpenAIRenderer:
    renderer.start(STARTED)
    return renderer


def frames(data: bytes) -> list[Any]:
    found = data.split(b"\n\n")
    assert found.pop() == b""
    assert all(frame.startswith(b"data: ") and b"\n" not in frame for frame in found)
    return [frame[6:].decode() if frame == b"data: [DONE]" else json.loads(frame[6:]) for frame in found]


def streamed(renderer: OpenAIRenderer, *events: Event) -> list[Any]:
    started(renderer)
    *chunks, done = frames(b"".join(renderer.event(event, 0) for event in events))
    assert done == "[DONE]"
    if isinstance(renderer, ChatRenderer):
        for chunk in chunks:
            ChatCompletionChunk.model_validate(chunk)
    else:  # the client's type knows whole answers only: OpenAI's own chunks have no finish_reason before the last
        Completion.model_validate(chunks[-1])
    return chunks


def whole(renderer: OpenAIRenderer, *events: Event) -> Any:
    started(renderer)
    *nothing, answer = [renderer.event(event, 0) for event in events]
    assert not any(nothing)
    return json.loads(answer)


def choice(delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> list[Any]:
    return [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]


def test_chat_streamed() -> None:
    renderer = ChatRenderer("m", streamed=True)
    chunks = streamed(renderer, Reasoning("hm"), Text("Pa", (LOGPROB,)), Text(""), Text("ris"), TOOL, FINAL)
    assert chunks == [
        CHUNK | {"choices": choice({"role": "assistant", "content": "", "reasoning": "hm"})},
        CHUNK | {"choices": choice({"content": "Pa"}, logprobs=WRITTEN_LOGPROBS)},
        CHUNK | {"choices": choice({"content": "ris"})},
        CHUNK | {"choices": choice({"tool_calls": [{"index": 0, **WRITTEN_TOOL}]})},
        CHUNK | {"choices": choice({}, "tool_calls")},
    ]


def test_usage_is_a_chunk_of_its_own() -> None:
    chunks = streamed(ChatRenderer("m", streamed=True, include_usage=True), Text("Paris"), FINAL)
    assert chunks == [
        CHUNK | {"choices": choice({"role": "assistant", "content": "Paris"}), "usage": None},
        CHUNK | {"choices": choice({}, "stop"), "usage": None},
        CHUNK | {"choices": [], "usage": USAGE},
    ]


def test_an_empty_answer_still_has_its_role() -> None:
    chunks = streamed(ChatRenderer("m", streamed=True), Final("length"))
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [{"role": "assistant", "content": ""}, {}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_chat_whole() -> None:
    answer = whole(ChatRenderer("m", streamed=False), Reasoning("hm"), Text("Pa", (LOGPROB,)), Text("ris"), FINAL)
    message = {"role": "assistant", "content": "Paris", "refusal": None, "reasoning": "hm"}
    choices = [{"index": 0, "message": message, "logprobs": WRITTEN_LOGPROBS, "finish_reason": "stop"}]
    assert answer == HEAD | {"object": "chat.completion", "choices": choices, "usage": USAGE}
    assert ChatCompletion.model_validate(answer).choices[0].message.content == "Paris"


def test_chat_whole_with_tools() -> None:
    answer = whole(ChatRenderer("m", streamed=False), TOOL, FINAL)
    (found,) = ChatCompletion.model_validate(answer).choices
    assert found.finish_reason == "tool_calls"
    assert found.message.content is None
    assert answer["choices"][0]["message"]["tool_calls"] == [WRITTEN_TOOL]
    spoken = whole(ChatRenderer("m", streamed=False), Text("wait"), TOOL, Final("length"))
    assert spoken["choices"][0]["message"]["content"] == "wait"
    assert spoken["choices"][0]["finish_reason"] == "length"


def test_completion_streamed() -> None:
    chunks = streamed(CompletionRenderer("m", streamed=True), Text("日", ()), Text("Pa", (LOGPROB,)), FINAL)
    logprobs = {"tokens": ["Pa"], "token_logprobs": [-0.5], "top_logprobs": [{"Lo": -2.0}], "text_offset": [1]}

    def text(text: str, finish: str | None = None, logprobs: Any = None) -> dict[str, Any]:
        return TEXT_HEAD | {
            "choices": [{"index": 0, "text": text, "logprobs": logprobs, "finish_reason": finish}],
        }

    assert chunks[-3:] == [text("日"), text("Pa", None, logprobs), text("", "stop")]
    assert len(chunks) == 3


def test_completion_whole() -> None:
    answer = whole(CompletionRenderer("m", streamed=False), Text("Pa", (LOGPROB,)), Text("ris"), FINAL)
    (found,) = Completion.model_validate(answer).choices
    assert (found.text, found.finish_reason) == ("Paris", "stop")
    assert found.logprobs is not None
    assert found.logprobs.text_offset == [0]
    assert answer["usage"] == USAGE


def test_no_text_breaks_the_framing() -> None:
    nasty = "a\r\n\r\ndata: [DONE]\n\n\u2028\x85\x00"
    chunks = streamed(ChatRenderer("m", streamed=True), Text(nasty), FINAL)
    assert chunks[0]["choices"][0]["delta"]["content"] == nasty


def test_failure_in_mid_stream_has_no_done() -> None:
    renderer = started(ChatRenderer("m", streamed=True))
    renderer.event(Text("Pa"), 0)
    (event,) = frames(renderer.failure(WorkerDied("secret"), "r1"))
    assert event == {"error": {"message": "upstream failed", "type": "server_error", "param": None, "code": None}}
    (event,) = frames(renderer.failure(Revoked("secret"), "r1"))
    assert event["error"]["code"] == "invalid_api_key"
    (event,) = frames(renderer.failure(None, "r1"))
    assert "r1" in event["error"]["message"]


def test_the_time_limit_ends_what_was_said_as_length() -> None:
    renderer = started(ChatRenderer("m", streamed=True))
    (event,) = frames(renderer.failure(DeadlineExceeded("r"), "r1"))
    assert event["error"]["code"] == "timeout"
    renderer.event(Text("Pa"), 0)
    last, done = frames(renderer.failure(DeadlineExceeded("r"), "r1"))
    assert last["choices"] == choice({}, "length")
    assert done == "[DONE]"


def test_content_types() -> None:
    assert ChatRenderer("m", streamed=True).content_type == "text/event-stream"
    assert ChatRenderer("m", streamed=False).content_type == "application/json; charset=utf-8"
