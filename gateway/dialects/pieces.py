"""A piece of an answer, between events and a dialect's words.

Streamed, every event becomes one piece; whole, all of them are joined into one. `offset_chars` is how
much text came before the piece. Tool calls carry their position in the answer and an id.
"""

import hashlib

import msgspec
from msgspec import Struct

from policies.call import Event, Reasoning, Text, TokenLogprob, ToolCall, ToolCalled


class Piece(Struct, frozen=True, kw_only=True):
    """Any part may be empty; `logprobs` None means that none are wanted."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[int, ToolCall], ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    offset_chars: int = 0

    def empty(self) -> bool:
        """True when there is nothing to send."""
        return not (self.text or self.reasoning or self.calls or self.logprobs)


class Pieces:
    """Turns the events of one answer into pieces, counting text and tool calls."""

    def __init__(self) -> None:
        self.request_id = ""
        self.calls = 0
        self.chars = 0

    def take(self, event: Event) -> Piece:
        """The piece that `event` adds. `Final` and `Embedded` add none."""
        match event:
            case Text():
                piece = Piece(text=event.text, logprobs=event.logprobs, offset_chars=self.chars)
                self.chars += len(event.text)
                return piece
            case Reasoning():
                return Piece(reasoning=event.text)
            case ToolCalled():
                self.calls += 1
                return Piece(calls=((self.calls - 1, self._identified(event.call)),))
            case _:
                return Piece()

    def _identified(self, call: ToolCall) -> ToolCall:
        """The call with an id: the engine's, or one that is this request's alone."""
        if call.id:
            return call
        digest = hashlib.sha256(f"{self.request_id}:{self.calls}".encode()).hexdigest()
        return msgspec.structs.replace(call, id=f"call_{digest[:8]}")


def joined(pieces: list[Piece]) -> Piece:
    """All pieces as one."""
    return Piece(
        text="".join(piece.text for piece in pieces),
        reasoning="".join(piece.reasoning for piece in pieces),
        calls=tuple(call for piece in pieces for call in piece.calls),
        logprobs=tuple(logprob for piece in pieces for logprob in piece.logprobs),
    )
