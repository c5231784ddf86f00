"""Messages and tools of `/api/chat`, from JSON to the neutral types."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.dialects.images import MAX_IMAGES, read_images
from policies.call import Message, Tool, ToolCall
from policies.errors import BadRequest

MAX_MESSAGES = 4096
MAX_TOOLS = 512

Name = Annotated[str, Meta(max_length=256)]
"""Names of functions and roles go into the prompt's frame; no real one is longer."""


class CalledFunction(Struct):
    """`tool_calls[].function`; `arguments` is an object here, in the OpenAI dialect a text."""

    name: Name
    arguments: dict[str, Any] | None = None


class EarlierCall(Struct):
    """A tool call of an earlier turn, sent back."""

    function: CalledFunction
    id: Name | None = None


class OllamaMessage(Struct):
    """One message as it comes."""

    role: Name = ""
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: Annotated[list[EarlierCall], Meta(max_length=MAX_TOOLS)] | None = None
    tool_name: Name | None = None
    tool_call_id: Name | None = None


class OfferedFunction(Struct):
    """`tools[].function`; the order of `parameters` is kept, it reaches the prompt."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OfferedTool(Struct):
    """A tool as it comes, in both dialects."""

    function: OfferedFunction | None = None
    type: str = "function"


def read_messages(messages: Sequence[OllamaMessage]) -> tuple[Message, ...]:
    """The neutral messages. Raises BadRequest or BodyTooLarge."""
    if sum(len(message.images or ()) for message in messages) > MAX_IMAGES:
        raise BadRequest("too_many_images", f"at most {MAX_IMAGES} images in one request")
    return tuple(_message(message) for message in messages)


def read_tools(tools: Sequence[OfferedTool]) -> tuple[Tool, ...]:
    """The neutral tools. Raises BadRequest for a kind other than functions."""
    return tuple(_tool(position, tool) for position, tool in enumerate(tools))


def _message(message: OllamaMessage) -> Message:
    return Message(
        role=message.role.lower(),
        content=message.content or "",
        reasoning=message.thinking or "",
        images=read_images(message.images or ()),
        tool_calls=tuple(
            ToolCall(call.id or "", call.function.name, call.function.arguments or {})
            for call in message.tool_calls or ()
        ),
        tool_name=message.tool_name or "",
        tool_call_id=message.tool_call_id or "",
    )


def _tool(position: int, tool: OfferedTool) -> Tool:
    if tool.function is None or tool.type != "function":
        raise BadRequest("tool_kind", f'invalid field "tools[{position}]": must be of type function')
    return Tool(tool.function.name, tool.function.description or "", tool.function.parameters or {})
