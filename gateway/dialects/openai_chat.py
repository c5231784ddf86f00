"""`/v1/chat/completions`: from JSON to a wish."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.dialects.contract import Asked
from gateway.dialects.fields import read_fields
from gateway.dialects.formats import ResponseFormat, openai_format
from gateway.dialects.logprobs import top_logprobs_of
from gateway.dialects.model_field import required_model
from gateway.dialects.ollama_messages import MAX_MESSAGES, MAX_TOOLS, OfferedTool, read_tools
from gateway.dialects.openai_messages import OpenAIMessage, read_messages
from gateway.dialects.openai_renderer import ChatRenderer
from gateway.dialects.openai_sampling import SamplingRequest, TokenBound, bounded_tokens, include_usage, read_sampling
from gateway.dialects.thinking import Think, read_effort
from policies.call import Call, Tool
from policies.errors import BadRequest

TOOL_CHOICES = ("none", "auto", "required")


class ReasoningOptions(Struct):
    """`reasoning`, the newer place of the effort."""

    effort: str | None = None


class ChatRequest(SamplingRequest):
    """The body, as far as it is understood; the rest of OpenAI's fields is ignored."""

    messages: Annotated[tuple[OpenAIMessage, ...], Meta(max_length=MAX_MESSAGES)] = ()
    max_completion_tokens: TokenBound | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[tuple[OfferedTool, ...], Meta(max_length=MAX_TOOLS)] = ()
    tool_choice: str | dict[str, Any] = "auto"
    reasoning: ReasoningOptions | None = None
    reasoning_effort: str | None = None
    logprobs: bool = False
    top_logprobs: int = 0


def read_chat(fields: dict[str, Any] | None, _model: str) -> Asked:
    """A chat. Raises BadRequest or BodyTooLarge."""
    request = read_fields(fields or {}, ChatRequest)
    model = required_model(request.model, "model is required")
    if not request.messages:
        raise BadRequest("messages_missing", "[] is too short - 'messages'")
    common = read_sampling(request) | {
        "max_output_tokens": bounded_tokens(request.max_tokens, request.max_completion_tokens)
    }
    call = Call(
        kind="chat",
        model=model,
        messages=read_messages(request.messages),
        tools=_tools(request),
        format=openai_format(request.response_format),
        top_logprobs=top_logprobs_of(request.logprobs, request.top_logprobs),
        think=_think(request),
        **common,
    )
    renderer = ChatRenderer(model, streamed=request.stream, include_usage=include_usage(request))
    return Asked(call=call, renderer=renderer)


def _tools(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools on offer; `tool_choice` "none" takes them away, the others leave the choice to the model."""
    if isinstance(request.tool_choice, str) and request.tool_choice not in TOOL_CHOICES:
        raise BadRequest(
            "tool_choice", f'invalid field "tool_choice": must be one of {", ".join(TOOL_CHOICES)}, or object'
        )
    tools = read_tools(request.tools)
    return () if request.tool_choice == "none" else tools


def _think(request: ChatRequest) -> Think | None:
    newer = request.reasoning.effort if request.reasoning else None
    return read_effort(newer if newer is not None else request.reasoning_effort)
