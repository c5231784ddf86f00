"""Answers of `/v1/chat/completions` and `/v1/completions`: server-sent events, or one object.

Rules: the role stands in the first chunk only; a chunk of its own carries `finish_reason`, with
`include_usage` another one the usage (no choices), then `[DONE]`; a stream that broke ends with an
`error` event and without `[DONE]`; a time limit that cuts a stream which already said something ends it
as `length`.
"""

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from engine.errors import DeadlineExceeded, EngineError
from gateway.dialects.contract import Started
from gateway.dialects.logprobs import completion_logprobs, token_logprobs
from gateway.dialects.openai_errors import error_body
from gateway.dialects.pieces import Piece, Pieces, joined
from gateway.dialects.wire import DONE_EVENT, EVENT_STREAM, JSON, NS_PER_S, json_bytes, sse_event
from policies.call import Event, Final, ToolCall, Usage
from policies.errors import Refused

FINGERPRINT = "fp_corral"


class OpenAIRenderer(ABC):
    """What both routes share: the frame of a chunk, the order of the last ones, usage, failure."""

    id_prefix = ""
    chunk_object = ""
    whole_object = ""

    def __init__(self, model: str, *, streamed: bool, include_usage: bool = False) -> None:
        self.streamed = streamed
        self.content_type = EVENT_STREAM if streamed else JSON
        self._model = model
        self._include_usage = include_usage
        self._pieces = Pieces()
        self._held: list[Piece] = []
        self._created_s = 0
        self._first = True

    def start(self, started: Started) -> None:
        """See `contract.Renderer`."""
        self._pieces.request_id = started.request_id
        self._created_s = started.arrived_ns // NS_PER_S

    def event(self, event: Event, now_ns: int) -> bytes:  # noqa: ARG002 (all chunks carry the time of arrival)
        """See `contract.Renderer`."""
        if isinstance(event, Final):
            return self._last(event) if self.streamed else self._whole(event)
        piece = self._pieces.take(event)
        if not self.streamed:
            self._held.append(piece)
            return b""
        return b"" if piece.empty() else self._chunk(piece)

    def failure(self, error: Refused | EngineError | None, request_id: str) -> bytes:
        """See `contract.Renderer`."""
        if isinstance(error, DeadlineExceeded) and self._pieces.chars:
            return self._chunk(Piece(), "length") + DONE_EVENT
        return sse_event(error_body(error, request_id))

    @abstractmethod
    def choice(self, piece: Piece, *, first: bool) -> dict[str, Any]:
        """The piece as part of a streamed choice."""

    @abstractmethod
    def whole_choice(self, piece: Piece) -> dict[str, Any]:
        """The whole answer as a choice."""

    def _last(self, final: Final) -> bytes:
        opening = self._chunk(Piece()) if self._first else b""
        frames = opening + self._chunk(Piece(), self._finish(final))
        if self._include_usage:
            usage = {"choices": [], "usage": usage_of(final.usage)}
            frames += sse_event(self._frame(self.chunk_object) | usage)
        return frames + DONE_EVENT

    def _whole(self, final: Final) -> bytes:
        choice = {"index": 0, **self.whole_choice(joined(self._held)), "finish_reason": self._finish(final)}
        answer = self._frame(self.whole_object) | {"choices": [choice], "usage": usage_of(final.usage)}
        return json_bytes(answer)

    def _chunk(self, piece: Piece, finish: str | None = None) -> bytes:
        choice = {"index": 0, **self.choice(piece, first=self._first), "finish_reason": finish}
        self._first = False
        usage = {"usage": None} if self._include_usage else {}
        return sse_event(self._frame(self.chunk_object) | {"choices": [choice]} | usage)

    def _frame(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"{self.id_prefix}{self._pieces.request_id}",
            "object": kind,
            "created": self._created_s,
            "model": self._model,
            "system_fingerprint": FINGERPRINT,
        }

    def _finish(self, final: Final) -> str:
        return "tool_calls" if self._pieces.calls and final.reason == "stop" else final.reason


class ChatRenderer(OpenAIRenderer):
    """`chat.completion` and its chunks."""

    id_prefix = "chatcmpl-"
    chunk_object = "chat.completion.chunk"
    whole_object = "chat.completion"

    def choice(self, piece: Piece, *, first: bool) -> dict[str, Any]:
        """See the base class."""
        delta: dict[str, Any] = {"role": "assistant", "content": ""} if first else {}
        if piece.text:
            delta["content"] = piece.text
        if piece.reasoning:
            delta["reasoning"] = piece.reasoning
        if piece.calls:
            delta["tool_calls"] = [{"index": index, **_tool_call(call)} for index, call in piece.calls]
        return {"delta": delta, "logprobs": _chat_logprobs(piece)}

    def whole_choice(self, piece: Piece) -> dict[str, Any]:
        """See the base class."""
        message: dict[str, Any] = {"role": "assistant", "content": piece.text, "refusal": None}
        if piece.reasoning:
            message["reasoning"] = piece.reasoning
        if piece.calls:
            message["content"] = piece.text or None
            message["tool_calls"] = [_tool_call(call) for _, call in piece.calls]
        return {"message": message, "logprobs": _chat_logprobs(piece)}


class CompletionRenderer(OpenAIRenderer):
    """`text_completion`, whole and in chunks; reasoning and tool calls have no place in it."""

    id_prefix = "cmpl-"
    chunk_object = "text_completion"
    whole_object = "text_completion"

    def choice(self, piece: Piece, *, first: bool) -> dict[str, Any]:  # noqa: ARG002 (no role here)
        """See the base class."""
        logprobs = completion_logprobs(piece.logprobs, piece.offset_chars) if piece.logprobs else None
        return {"text": piece.text, "logprobs": logprobs}

    def whole_choice(self, piece: Piece) -> dict[str, Any]:
        """See the base class."""
        return self.choice(piece, first=True)


def usage_of(usage: Usage) -> dict[str, Any]:
    """The usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _tool_call(call: ToolCall) -> dict[str, Any]:
    arguments = msgspec.json.encode(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _chat_logprobs(piece: Piece) -> dict[str, Any] | None:
    return {"content": token_logprobs(piece.logprobs), "refusal": None} if piece.logprobs else None
