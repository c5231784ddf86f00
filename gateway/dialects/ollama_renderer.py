"""Answers of `/api/chat` and `/api/generate`: NDJSON lines, or one object.

Rules: every line is an object, never blank; the last has `done: true`, or `error`; durations are
nanoseconds and absent when 0; tool calls come whole, and `done_reason` stays `stop` for them; a time
limit that cuts a stream which already said something ends it as `length`.
"""

from collections.abc import Callable
from typing import Any
from typing import Final as Constant

from msgspec import Struct

from engine.errors import DeadlineExceeded, EngineError
from gateway.dialects.contract import Started
from gateway.dialects.logprobs import token_logprobs
from gateway.dialects.ollama_errors import error_body
from gateway.dialects.pieces import Piece, Pieces, joined
from gateway.dialects.wire import JSON, NDJSON, json_bytes, json_line, rfc3339
from policies.call import Event, Final, ToolCall, ToolCalled
from policies.errors import Refused

UNLOADED_STARTED: Constant = Started(request_id="", arrived_ns=0, dispatched_ns=0)


class Shape(Struct, frozen=True):
    """What tells generate from chat: where a piece's parts stand, and what waits for the last line."""

    body: Callable[[Piece], dict[str, Any]]
    calls_last: bool = False
    with_context: bool = False


class OllamaRenderer:
    """Writes one answer. `model` is shown as the caller wrote it."""

    def __init__(self, model: str, shape: Shape, *, streamed: bool) -> None:
        self.streamed = streamed
        self.content_type = NDJSON if streamed else JSON
        self._model = model
        self._shape = shape
        self._pieces = Pieces()
        self._held: list[Piece] = []
        self._started = UNLOADED_STARTED
        self._now_ns = 0

    def start(self, started: Started) -> None:
        """See `contract.Renderer`."""
        self._started = started
        self._now_ns = started.dispatched_ns
        self._pieces.request_id = started.request_id

    def event(self, event: Event, now_ns: int) -> bytes:
        """See `contract.Renderer`."""
        self._now_ns = now_ns
        if isinstance(event, Final):
            return self._last(event)
        piece = self._pieces.take(event)
        if not self.streamed or (self._shape.calls_last and isinstance(event, ToolCalled)):
            self._held.append(piece)
            return b""
        return b"" if piece.empty() else json_line(self._object(piece, done=False))

    def failure(self, error: Refused | EngineError | None, request_id: str) -> bytes:
        """See `contract.Renderer`."""
        if isinstance(error, DeadlineExceeded) and self._pieces.chars:
            return self._last(Final("length"))
        return json_line(error_body(error, request_id))

    def _last(self, final: Final) -> bytes:
        reason = "length" if final.reason == "length" else "stop"
        line = self._object(joined(self._held), done=True) | {"done_reason": reason} | self._counts(final)
        if self._shape.with_context and final.context:
            line["context"] = final.context
        return json_line(line) if self.streamed else json_bytes(line)

    def _object(self, piece: Piece, *, done: bool) -> dict[str, Any]:
        head = {"model": self._model, "created_at": rfc3339(self._now_ns)}
        found = head | self._shape.body(piece) | {"done": done}
        if piece.logprobs:
            found["logprobs"] = token_logprobs(piece.logprobs)
        return found

    def _counts(self, final: Final) -> dict[str, int]:
        return durations(self._started, self._now_ns, final) | {
            name: value
            for name, value in (
                ("prompt_eval_duration", final.timings.prefill_ns),
                ("eval_count", final.usage.output_tokens),
                ("eval_duration", final.timings.decode_ns),
            )
            if value
        }


def durations(started: Started, now_ns: int, final: Final) -> dict[str, int]:
    """Total and load time, and the prompt's tokens; the load time includes the wait in the queue."""
    found = {
        "total_duration": now_ns - started.arrived_ns,
        "load_duration": started.dispatched_ns - started.arrived_ns + final.timings.load_ns,
        "prompt_eval_count": final.usage.prompt_tokens,
    }
    return {name: value for name, value in found.items() if value > 0}


def chat_body(piece: Piece) -> dict[str, Any]:
    """The part of a chat line that holds the message."""
    message: dict[str, Any] = {"role": "assistant", "content": piece.text}
    if piece.reasoning:
        message["thinking"] = piece.reasoning
    if piece.calls:
        message["tool_calls"] = _tool_calls(piece.calls)
    return {"message": message}


def generate_body(piece: Piece) -> dict[str, Any]:
    """The part of a generate line that holds the text."""
    found: dict[str, Any] = {"response": piece.text}
    if piece.reasoning:
        found["thinking"] = piece.reasoning
    if piece.calls:
        found["tool_calls"] = _tool_calls(piece.calls)
    return found


def _tool_calls(calls: tuple[tuple[int, ToolCall], ...]) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}
        for index, call in calls
    ]


CHAT = Shape(chat_body)
GENERATE = Shape(generate_body, calls_last=True, with_context=True)
GENERATE_RAW = Shape(generate_body, calls_last=True)
