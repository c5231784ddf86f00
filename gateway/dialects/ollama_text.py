"""`/api/chat` and `/api/generate`: from JSON to a wish.

Rules: nothing to answer (no messages, an empty prompt) loads the model, with `keep_alive` 0 unloads it; both are
answered at once with the documented object. What of `keep_alive` counts says `policies.keep_alive`: one caller must not
pin or unload a model under the others. A template of the caller's own is refused: it is code run in our process.
"""

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.dialects.contract import Answer, Asked, Loaded, Wish
from gateway.dialects.fields import read_fields
from gateway.dialects.formats import ollama_format
from gateway.dialects.images import read_images
from gateway.dialects.keep_alive import read_keep_alive
from gateway.dialects.logprobs import top_logprobs_of
from gateway.dialects.model_field import known_model, required_model
from gateway.dialects.ollama_messages import (
    MAX_MESSAGES,
    MAX_TOOLS,
    OfferedTool,
    OllamaMessage,
    read_messages,
    read_tools,
)
from gateway.dialects.ollama_options import read_options
from gateway.dialects.ollama_renderer import (
    CHAT,
    GENERATE,
    GENERATE_RAW,
    OllamaRenderer,
    Shape,
    chat_body,
    generate_body,
)
from gateway.dialects.pieces import Piece
from gateway.dialects.thinking import read_think
from gateway.dialects.wire import json_answer, rfc3339
from policies.call import Call
from policies.errors import BadRequest

MAX_CONTEXT_IDS = 131_072
TokenId = Annotated[int, Meta(ge=0, lt=2**31)]


class TextRequest(Struct):
    """What both routes take. `shift` is checked and ignored: another value would reload the model."""

    model: str = ""
    stream: bool = True
    format: Any = None
    keep_alive: Any = None
    options: dict[str, Any] = {}
    think: Any = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = 0


class ChatRequest(TextRequest):
    """`/api/chat`."""

    messages: Annotated[tuple[OllamaMessage, ...], Meta(max_length=MAX_MESSAGES)] = ()
    tools: Annotated[tuple[OfferedTool, ...], Meta(max_length=MAX_TOOLS)] = ()


class GenerateRequest(TextRequest):
    """`/api/generate`."""

    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: Annotated[tuple[TokenId, ...], Meta(max_length=MAX_CONTEXT_IDS)] = ()
    raw: bool = False
    images: tuple[str, ...] = ()


def read_chat(fields: dict[str, Any] | None, _model: str) -> Wish:
    """A chat, or the load object. Raises BadRequest or BodyTooLarge."""
    request = read_fields(fields or {}, ChatRequest)
    model = required_model(request.model, "model is required")
    common, keep_alive_s = _common(request), read_keep_alive(request.keep_alive)
    if not request.messages:
        return _loaded(model, keep_alive_s, chat_body)
    messages, tools = read_messages(request.messages), read_tools(request.tools)
    return _asked(Call(kind="chat", model=model, messages=messages, tools=tools, **common), request, CHAT)


def read_generate(fields: dict[str, Any] | None, _model: str) -> Wish:
    """A completion, or the load object. Raises BadRequest, BodyTooLarge or ModelUnknown."""
    request = read_fields(fields or {}, GenerateRequest)
    model = known_model(request.model)
    common, keep_alive_s = _common(request), read_keep_alive(request.keep_alive)
    if not request.prompt and keep_alive_s == 0:
        return _loaded(model, keep_alive_s, generate_body)
    _check_raw(request)
    if not request.prompt:
        return _loaded(model, keep_alive_s, generate_body)
    call = Call(
        kind="completion",
        model=model,
        prompt=request.prompt,
        suffix=request.suffix,
        system=request.system or None,
        context=request.context,
        raw=request.raw,
        images=read_images(request.images),
        **common,
    )
    return _asked(call, request, GENERATE_RAW if request.raw else GENERATE)


def _check_raw(request: GenerateRequest) -> None:
    if request.raw and (request.template or request.system or request.context):
        raise BadRequest("raw_combined", "raw mode does not support template, system, or context")
    if request.template:
        raise BadRequest("template_refused", "a request cannot bring its own template")


def _common(request: TextRequest) -> dict[str, Any]:
    """The fields of a Call that both routes fill alike."""
    options = read_options(request.options)
    return {
        "format": ollama_format(request.format),
        "sampling": options.sampling,
        "max_output_tokens": options.max_output_tokens,
        "top_logprobs": top_logprobs_of(request.logprobs, request.top_logprobs),
        "think": read_think(request.think),
        "truncate": request.truncate,
    }


def _asked(call: Call, request: TextRequest, shape: Shape) -> Asked:
    renderer = OllamaRenderer(call.model, shape, streamed=request.stream)
    return Asked(call=call, renderer=renderer, keep_alive_s=read_keep_alive(request.keep_alive))


def _loaded(model: str, keep_alive_s: float | None, body: Callable[[Piece], dict[str, Any]]) -> Loaded:
    """The load or unload object: plain JSON, also where a stream was asked for."""
    reason = "unload" if keep_alive_s == 0 else "load"

    def answer(now_ns: int) -> Answer:
        head = {"model": model, "created_at": rfc3339(now_ns)}
        return json_answer(head | body(Piece()) | {"done": True, "done_reason": reason})

    return Loaded(model=model, answer=answer, keep_alive_s=keep_alive_s)
