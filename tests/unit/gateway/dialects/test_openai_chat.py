from typing import Any

import pytest

from gateway.dialects.contract import Asked
from gateway.dialects.openai_chat import read_chat
from policies.call import Call, Format, Message, Sampling, Tool
from policies.errors import BadRequest

HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TOOLS = [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}]
LEAST = Call(kind="chat", model="m", messages=(Message("user", "hi"),), sampling=Sampling(temperature=1.0, top_p=1.0))


def read(**fields: Any) -> Asked:
    return read_chat(HI | fields, "")


def call(**fields: Any) -> Call:
    return read(**fields).call


def text_of(**fields: Any) -> str:
    with pytest.raises(BadRequest) as refused:
        read(**fields)
    return refused.value.text


def test_the_least_chat() -> None:
    wish = read()
    assert wish.call == LEAST
    assert not wish.renderer.streamed
    assert read(stream=True).renderer.streamed


def test_fields_of_openai_that_nothing_here_reads_are_ignored() -> None:
    assert call(user="u", store=True, metadata={}, logit_bias={"1": 2}, parallel_tool_calls=False) == LEAST


def test_output_caps() -> None:
    assert call(max_tokens=5).max_output_tokens == 5
    assert call(max_completion_tokens=7).max_output_tokens == 7
    assert call(max_tokens=5, max_completion_tokens=7).max_output_tokens == 5


def test_tools() -> None:
    tools = (Tool("f", "", {"type": "object"}),)
    assert call(tools=TOOLS).tools == tools
    assert call(tools=TOOLS, tool_choice="required").tools == tools
    assert call(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "f"}}).tools == tools
    assert call(tools=TOOLS, tool_choice="none").tools == ()
    assert "tool_choice" in text_of(tools=TOOLS, tool_choice="all")
    assert "tool_choice" in text_of(tool_choice=1)
    assert "tools[0]" in text_of(tools=[{"type": "custom", "custom": {}}], tool_choice="none")


def test_formats() -> None:
    assert call(response_format={"type": "json_object"}).format == Format("json")
    schema = {"type": "object"}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    assert call(response_format=asked).format == Format("schema", schema)
    assert "response_format" in text_of(response_format={"type": "xml"})


def test_reasoning() -> None:
    assert call(reasoning_effort="none").think is False
    assert call(reasoning_effort="low").think == "low"
    assert call(reasoning_effort="low", reasoning={"effort": "high"}).think == "high"
    assert call(reasoning_effort="low", reasoning={}).think == "low"


def test_logprobs() -> None:
    assert call(logprobs=True).top_logprobs == 0
    assert call(logprobs=True, top_logprobs=4).top_logprobs == 4
    assert text_of(logprobs=True, top_logprobs=21) == "top_logprobs must be between 0 and 20"


@pytest.mark.parametrize("messages", [[], None])
def test_no_messages(messages: Any) -> None:
    assert text_of(messages=messages) == "[] is too short - 'messages'"


@pytest.mark.parametrize("model", ["", None, "a b"])
def test_no_model(model: Any) -> None:
    assert text_of(model=model) == "model is required"


def test_wrong_types_name_the_field() -> None:
    assert text_of(messages=[{"content": "x"}]) == 'missing field "messages[0].role"'
    assert text_of(messages=[{"role": "user", "content": 1}]) == (
        'invalid field "messages[0].content": must be string or array, not integer'
    )
    assert text_of(n=2) == 'invalid field "n": must be 1'
    with pytest.raises(BadRequest):
        read_chat(None, "")
