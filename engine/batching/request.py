"""One running request of the batching loop: its prompt, its output so far, and its accounts."""

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from engine.batching.sampler import TokenSampler
from engine.batching.text_stream import Piece, TextStream
from engine.frames import Ended, Output, Start
from engine.pictures import Stretch
from policies.call import StopReason, TokenLogprob

Owner = Hashable  # whoever sent a request: the worker's connection, compared only


class StartRefused(Exception):
    """A Start frame that cannot be run; the message is one sentence."""


def read_prompt(token_bytes: bytes, *, vocabulary_size: int, pictures: bool = False) -> NDArray[np.int32]:
    """The ids of one sequence. Raises StartRefused for what would be an invalid row of the batch.

    With `pictures` negative ids are let through, for `engine.batching.image_rows` to check.
    """
    if not token_bytes or len(token_bytes) % 4:
        raise StartRefused("a prompt must be a whole number of int32 ids, at least one")
    prompt = np.frombuffer(token_bytes, "<i4").astype(np.int32)
    if (int(prompt.min()) < 0 and not pictures) or int(prompt.max()) >= vocabulary_size:
        raise StartRefused("a token id is outside the model's vocabulary")
    return prompt


class Request:
    """The accounts of one request, which waits for memory at first. Times are nanoseconds of the loop's clock."""

    __slots__ = (
        "_first_token_ns",
        "_parked_ns",
        "_started_ns",
        "_text",
        "_unsent_tokens",
        "adapter",
        "cached_tokens",
        "max_output_tokens",
        "output_ids",
        "output_tokens",
        "owner",
        "pictures",
        "prompt",
        "request_id",
        "sampler",
        "top_logprobs",
    )

    def __init__(
        self, owner: Owner, start: Start, prompt: NDArray[np.int32], sampler: TokenSampler, started_ns: int
    ) -> None:
        self.owner = owner
        self.request_id = start.id
        self.adapter = start.adapter
        self.pictures: tuple[Stretch, ...] = ()
        self.prompt = prompt
        self.sampler = sampler
        self.max_output_tokens = start.max_output_tokens
        self.top_logprobs = start.top_logprobs
        self.cached_tokens = 0
        self.output_tokens = 0
        self.output_ids: list[int] = []
        self._text = TextStream(start.sampling.stop)
        self._unsent_tokens = 0
        self._started_ns = started_ns
        self._parked_ns = started_ns
        self._first_token_ns: int | None = None

    def park(self, now_ns: int) -> None:
        """From now on it waits for memory, until `begin`."""
        self._parked_ns = now_ns

    def begin(self, now_ns: int) -> None:
        """It has memory from now on. The time it waited for it was neither prefill nor decode."""
        waited_ns = now_ns - self._parked_ns
        self._started_ns += waited_ns
        if self._first_token_ns is not None:
            self._first_token_ns += waited_ns

    def count_token(self, now_ns: int) -> None:
        """One more token was sampled, an end token included: it costs what any other costs."""
        if self._first_token_ns is None:
            self._first_token_ns = now_ns
        self.output_tokens += 1
        self._unsent_tokens += 1

    def take(self, token_id: int, token_bytes: bytes, logprob: TokenLogprob | None) -> tuple[Output | None, bool]:
        """Add a token that is not an end token; returns what may be sent, and whether a stop string ended it."""
        self.output_ids.append(token_id)
        piece = self._text.feed(token_bytes, logprob)
        return self._output(piece), piece.stopped

    def flush(self) -> tuple[Output | None, bool]:
        """What is still held back, once nothing follows; True when it turned out to hold a stop string."""
        piece = self._text.finish()
        return self._output(piece), piece.stopped

    def ended(self, reason: StopReason | None, now_ns: int, fault: str = "") -> Ended:
        """The last word on this request."""
        first_ns = self._first_token_ns if self._first_token_ns is not None else now_ns
        return Ended(
            id=self.request_id,
            reason=reason,
            fault=fault,
            prompt_tokens=len(self.prompt),
            cached_tokens=self.cached_tokens,
            output_tokens=self.output_tokens,
            prefill_ns=first_ns - self._started_ns,
            decode_ns=now_ns - first_ns,
            token_ids=np.asarray(self.output_ids, "<i4").tobytes(),
        )

    def _output(self, piece: Piece) -> Output | None:
        if not piece.text and not piece.logprobs:
            return None
        tokens, self._unsent_tokens = self._unsent_tokens, 0
        return Output(id=self.request_id, text=piece.text, output_tokens=tokens, logprobs=piece.logprobs)
