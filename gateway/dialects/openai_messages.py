"""Messages of `/v1/chat/completions`, from JSON to the neutral types.

Rules: content is a text or parts; text parts are joined by a line end, images come as `data:` URLs
only, nothing is fetched; the arguments of an earlier tool call are JSON as text; `developer` is today's
word for `system`; the name of a tool's answer is looked up by its call when it is not given.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.dialects.images import MAX_IMAGES, read_image_url
from gateway.dialects.ollama_messages import Name
from gateway.json_body import parse_object
from policies.call import Message, ToolCall
from policies.errors import BadRequest


class ImageUrl(Struct):
    """`image_url` of a part; `detail` is ignored."""

    url: str


class ContentPart(Struct):
    """One part of a message's content."""

    type: str
    text: str | None = None
    image_url: ImageUrl | str | None = None


class CalledFunction(Struct):
    """`tool_calls[].function`."""

    name: Name
    arguments: str


class EarlierCall(Struct):
    """A tool call of an earlier turn, sent back."""

    function: CalledFunction
    id: Name | None = None


class OpenAIMessage(Struct):
    """One message as it comes."""

    role: Name
    content: str | list[ContentPart] | None = None
    reasoning: str | None = None
    name: Name | None = None
    tool_calls: list[EarlierCall] | None = None
    tool_call_id: Name | None = None


def read_messages(messages: Sequence[OpenAIMessage]) -> tuple[Message, ...]:
    """The neutral messages. Raises BadRequest or BodyTooLarge."""
    names: dict[str, str] = {}
    found = []
    for message in messages:
        for call in message.tool_calls or ():
            names[call.id or ""] = call.function.name
        found.append(_message(message, names))
    if sum(len(message.images) for message in found) > MAX_IMAGES:
        raise BadRequest("too_many_images", f"at most {MAX_IMAGES} images in one request")
    return tuple(found)


def _message(message: OpenAIMessage, names: dict[str, str]) -> Message:
    role = message.role.lower()
    content, images = _content(message.content)
    call_id = message.tool_call_id or ""
    return Message(
        role="system" if role == "developer" else role,
        content=content,
        reasoning=message.reasoning or "",
        images=images,
        tool_calls=tuple(_tool_call(call) for call in message.tool_calls or ()),
        tool_name=message.name or names.get(call_id, "") if role == "tool" else "",
        tool_call_id=call_id,
    )


def _content(content: str | list[ContentPart] | None) -> tuple[str, tuple[bytes, ...]]:
    if not isinstance(content, list):
        return content or "", ()
    texts = [part.text for part in content if part.type == "text" and part.text is not None]
    images = [part.image_url for part in content if part.type == "image_url" and part.image_url is not None]
    if len(texts) + len(images) != len(content):
        raise BadRequest("content_part", "invalid message format: parts must be text or image_url")
    return "\n".join(texts), tuple(_image(image) for image in images)


def _image(image: ImageUrl | str) -> bytes:
    return read_image_url(image if isinstance(image, str) else image.url)


def _tool_call(call: EarlierCall) -> ToolCall:
    return ToolCall(call.id or "", call.function.name, _arguments(call.function.arguments))


def _arguments(text: str) -> dict[str, Any]:
    try:
        return parse_object(text.encode())
    except BadRequest as fault:
        raise BadRequest(f"arguments_{fault.reason}", "invalid tool call arguments") from None
