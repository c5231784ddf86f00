import base64

import pytest

from gateway.dialects.images import MAX_IMAGES
from gateway.dialects.ollama_messages import (
    CalledFunction,
    EarlierCall,
    OfferedFunction,
    OfferedTool,
    OllamaMessage,
    read_messages,
    read_tools,
)
from policies.call import Message, Tool, ToolCall
from policies.errors import BadRequest

IMAGE = base64.b64encode(b"image").decode()


def test_messages() -> None:
    given = [
        OllamaMessage("System", "be brief"),
        OllamaMessage("user", "hi", images=[IMAGE]),
        OllamaMessage(
            "assistant",
            None,
            "hm",
            tool_calls=[
                EarlierCall(CalledFunction("f", {"b": 1, "a": 2}), "call_1"),
                EarlierCall(CalledFunction("g")),
            ],
        ),
        OllamaMessage("tool", "42", tool_name="f", tool_call_id="call_1"),
        OllamaMessage(),
    ]
    assert read_messages(given) == (
        Message("system", "be brief"),
        Message("user", "hi", images=(b"image",)),
        Message(
            "assistant", reasoning="hm", tool_calls=(ToolCall("call_1", "f", {"b": 1, "a": 2}), ToolCall("", "g", {}))
        ),
        Message("tool", "42", tool_name="f", tool_call_id="call_1"),
        Message(""),
    )


def test_images_are_bounded_over_all_messages() -> None:
    with pytest.raises(BadRequest) as refused:
        read_messages([OllamaMessage("user", images=[IMAGE])] * (MAX_IMAGES + 1))
    assert refused.value.reason == "too_many_images"


def test_tools_keep_their_order() -> None:
    schema = {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": ["null", "integer"]}}}
    (tool,) = read_tools([OfferedTool(OfferedFunction("f", "does f", schema))])
    assert tool == Tool("f", "does f", schema)
    assert list(tool.parameters["properties"]) == ["z", "a"]
    assert read_tools([OfferedTool(OfferedFunction("f"))]) == (Tool("f"),)


@pytest.mark.parametrize("tool", [OfferedTool(), OfferedTool(OfferedFunction("f"), "custom")])
def test_only_functions(tool: OfferedTool) -> None:
    with pytest.raises(BadRequest) as refused:
        read_tools([tool])
    assert refused.value.text == 'invalid field "tools[0]": must be of type function'
