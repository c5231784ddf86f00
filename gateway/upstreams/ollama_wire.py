"""Ollama's API as a client sees it: a Call as a request body, a line of its stream as Events.

The body is an allowlist built from the typed Call; nothing a client sent travels by itself. What the server
answers is a stranger's: its numbers are bounded here, so that none of them can break a counter or a clock. Pure.
"""

from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from policies.call import (
    Call,
    Embedded,
    Event,
    Final,
    Message,
    ModelCard,
    ModelDetails,
    Reasoning,
    Text,
    Timings,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCalled,
    Usage,
)

# Below 2**53 nothing is rounded on the way through JSON; as nanoseconds it is a hundred days.
Count = Annotated[int, Meta(ge=0, lt=2**53)]
Byte = Annotated[int, Meta(ge=0, le=255)]

PATHS = {"chat": "/api/chat", "completion": "/api/generate", "embedding": "/api/embed"}


class WireFunction(Struct):
    name: str = ""
    arguments: dict[str, Any] = {}


class WireToolCall(Struct):
    function: WireFunction
    id: str = ""


class WireLogprob(Struct):
    token: str
    logprob: float
    bytes: list[Byte] | None = None
    top_logprobs: list["WireLogprob"] | None = None


class WireMessage(Struct):
    content: str = ""
    thinking: str = ""
    tool_calls: list[WireToolCall] | None = None


class WireLine(Struct):
    """One line of a chat or generate stream, or a whole embed answer."""

    error: str = ""
    message: WireMessage | None = None
    response: str = ""
    thinking: str = ""
    tool_calls: list[WireToolCall] | None = None
    logprobs: list[WireLogprob] | None = None
    done: bool = False
    done_reason: str = "stop"
    context: list[Count] | None = None
    embeddings: list[list[float]] | None = None
    load_duration: Count = 0
    prompt_eval_count: Count = 0
    prompt_eval_duration: Count = 0
    eval_count: Count = 0
    eval_duration: Count = 0


class WireDetails(Struct):
    format: str = ""
    family: str = ""
    families: list[str] | None = None
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: Count = 0
    embedding_length: Count = 0


class WireModel(Struct):
    name: str
    digest: str = ""
    size: Count = 0
    modified_at: str = ""
    details: WireDetails = msgspec.field(default_factory=WireDetails)
    capabilities: list[str] | None = None
    remote_host: str = ""


class WireTags(Struct):
    models: list[WireModel] | None = None


class WireShow(Struct):
    model_info: dict[str, Any] | None = None
    template: str = ""
    system: str = ""
    license: str = ""
    parameters: str = ""
    capabilities: list[str] | None = None


def request_body(call: Call, max_output_tokens: int) -> bytes:
    """The body of `PATHS[call.kind]` for this call, streamed where the route streams."""
    body: dict[str, Any] = {"model": call.model, "truncate": call.truncate}
    if call.kind == "embedding":
        return msgspec.json.encode({**body, "input": call.inputs})
    body |= {"stream": True, "options": _options(call, max_output_tokens)}
    if call.kind == "chat":
        body |= {"messages": [_message(each) for each in call.messages], "tools": [_tool(each) for each in call.tools]}
    else:
        body |= {"prompt": call.prompt, "suffix": call.suffix, "raw": call.raw, "context": call.context}
        body |= {"images": [_base64(each) for each in call.images]}
        body |= {} if call.system is None else {"system": call.system}
    body |= {} if call.think is None else {"think": call.think}
    body |= {} if call.top_logprobs is None else {"logprobs": True, "top_logprobs": call.top_logprobs}
    if call.format.kind != "text":
        body["format"] = "json" if call.format.kind == "json" else call.format.schema
    return msgspec.json.encode({key: value for key, value in body.items() if value not in ("", [], ())})


def line_events(line: WireLine) -> list[Event]:
    """The events in one line, in order; a `done` line ends with Final."""
    message = line.message or WireMessage(line.response, line.thinking, line.tool_calls)
    events: list[Event] = []
    if message.thinking:
        events.append(Reasoning(message.thinking))
    if message.content or line.logprobs:
        events.append(Text(message.content, tuple(map(_logprob, line.logprobs or ()))))
    events += [
        ToolCalled(ToolCall(each.id, each.function.name, each.function.arguments)) for each in message.tool_calls or ()
    ]
    if line.embeddings is not None:
        events.append(Embedded(tuple(map(tuple, line.embeddings))))
    if line.done or line.embeddings is not None:
        events.append(_final(line))
    return events


def model_card(model: WireModel, slots: int) -> ModelCard:
    """A tags entry as a catalogue card."""
    details = model.details
    return ModelCard(
        name=model.name,
        digest=model.digest.removeprefix("sha256:"),
        size_bytes=model.size,
        modified_at=_unix_s(model.modified_at),
        details=ModelDetails(
            format=details.format,
            family=details.family,
            families=tuple(details.families or ()),
            parameter_size=details.parameter_size,
            quantization_level=details.quantization_level,
            context_length=details.context_length,
            embedding_length=details.embedding_length,
        ),
        capabilities=tuple(model.capabilities or ("completion",)),
        slots=slots,
    )


def _unix_s(text: str) -> float:
    """RFC 3339, nanoseconds cut to microseconds; 0 for what is not a time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _final(line: WireLine) -> Final:
    return Final(
        "length" if line.done_reason == "length" else "stop",
        Usage(prompt_tokens=line.prompt_eval_count, output_tokens=line.eval_count),
        Timings(prefill_ns=line.prompt_eval_duration, decode_ns=line.eval_duration, load_ns=0),
        tuple(line.context or ()),
    )


def _logprob(wire: WireLogprob) -> TokenLogprob:
    raw = bytes(wire.bytes) if wire.bytes is not None else wire.token.encode()
    return TokenLogprob(wire.token, raw, wire.logprob, tuple(map(_logprob, wire.top_logprobs or ())))


def _options(call: Call, max_output_tokens: int) -> dict[str, Any]:
    options: dict[str, Any] = msgspec.to_builtins(call.sampling)
    if call.sampling.seed is None:
        del options["seed"]
    return {**options, "num_predict": max_output_tokens}


def _message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    optional = {
        "thinking": message.reasoning,
        "images": [_base64(each) for each in message.images],
        "tool_calls": [
            {"id": each.id, "function": {"name": each.name, "arguments": each.arguments}} for each in message.tool_calls
        ],
        "tool_name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    return wire | {key: value for key, value in optional.items() if value}


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
