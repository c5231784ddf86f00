import base64
from typing import Any

import msgspec
import pytest

from gateway.dialects.images import MAX_IMAGES
from gateway.dialects.openai_messages import OpenAIMessage, read_messages
from policies.call import Message, ToolCall
from policies.errors import BadRequest

URL = "data:image/png;base64," + base64.b64encode(b"image").decode()


def read(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return read_messages(msgspec.convert(messages, list[OpenAIMessage]))


def test_roles_and_texts() -> None:
    assert read(
        {"role": "developer", "content": "be brief"},
        {"role": "User", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": None, "reasoning": "hm"},
    ) == (Message("system", "be brief"), Message("user", "hi"), Message("assistant", reasoning="hm"))


def test_parts() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
        {"type": "image_url", "image_url": URL},
        {"type": "text", "text": "b"},
    ]
    assert read({"role": "user", "content": parts}) == (Message("user", "a\nb", images=(b"image", b"image")),)


@pytest.mark.parametrize(
    "part", [{"type": "input_audio"}, {"type": "text"}, {"type": "image_url"}, {"type": "file", "text": "x"}]
)
def test_other_parts(part: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        read({"role": "user", "content": [part]})
    assert refused.value.text == "invalid message format: parts must be text or image_url"


def test_images_are_bounded_over_all_messages() -> None:
    part = {"type": "image_url", "image_url": URL}
    with pytest.raises(BadRequest):
        read(*[{"role": "user", "content": [part]}] * (MAX_IMAGES + 1))


def call(arguments: str, **more: str) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}, **more}]}


def test_tool_calls_and_their_answers() -> None:
    answer = {"role": "tool", "content": "42"}
    assert read(
        call('{"b": 1, "a": 2}', id="call_1"), answer | {"tool_call_id": "call_1"}, answer | {"name": "g"}, answer
    ) == (
        Message("assistant", tool_calls=(ToolCall("call_1", "f", {"b": 1, "a": 2}),)),
        Message("tool", "42", tool_name="f", tool_call_id="call_1"),
        Message("tool", "42", tool_name="g"),
        Message("tool", "42"),
    )


@pytest.mark.parametrize("arguments", ["", "[]", "{", '{"a": NaN}', '{"a":1,"a":2}', "[" * 1000])
def test_arguments_are_an_object(arguments: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(call(arguments))
    assert refused.value.text == "invalid tool call arguments"
