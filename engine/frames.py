"""The wire between a gateway and its engine processes: length-prefixed msgpack frames.

A frame is four bytes little-endian length and one msgpack value. Both sides greet with `Hello` and
refuse another protocol version. A worker sends one `Step` frame a step, holding what every request
of that connection gained. Nothing here executes what it reads: msgspec decodes into these types or
raises, and a frame above `MAX_FRAME_BYTES` ends the connection.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from engine.answers.answer_form import PLAIN, AnswerForm
from engine.pictures import Picture
from policies.call import Message, Sampling, StopReason, TokenLogprob, Tool

PROTOCOL_VERSION = 1
LENGTH_BYTES = 4
MAX_FRAME_BYTES = 64 * 1024 * 1024

WorkerRole = Literal["chat", "embedding"]
Count = Annotated[int, Meta(ge=0, lt=2**53)]
"""Tokens that somebody is charged for: below nothing would give back others' tokens, and sums must stay exact. All that
a worker says of itself is bounded so: the queue reckons with it, and nobody vouches for the worker."""
Fence = Annotated[int, Meta(ge=0, lt=2**53)]
"""The epoch of the gateway that decided for all of them; 0 where a gateway decides alone."""


MAX_GATEWAY_NAME = 96
"""An instance's name in the audit log, and what tells its processes apart."""


class Frame(Struct, frozen=True, tag=True, kw_only=True):
    """Base of all frames; the type's name is its tag."""


class Hello(Frame, frozen=True, tag=True, kw_only=True):
    """First frame of a gateway on any connection. Who wants no `Step`s, as the supervisor, says so.

    `name` is the gateway process's own: what it starts is counted under it.
    """

    version: int
    steps: bool = True
    name: Annotated[str, Meta(max_length=MAX_GATEWAY_NAME)] = ""


# ---- gateway -> worker


class Start(Frame, frozen=True, tag=True, kw_only=True):
    """Run one request. `token_ids` are int32 little-endian, one entry a sequence (embeddings: one an input).

    `id` is the connection's own. `sampling.seed` is always set. `grammar` is GBNF or empty. With a `fence` below the
    highest that the worker has seen, and not 0, it is answered `SlotTaken`: another gateway decides by now. The field
    may be missing, and a worker that does not know it takes the request, so it needs no version of its own.
    `adapter` is one that `WorkerHello` named, "" the bare model; with any other the request ends with a fault.
    `images` are the pictures whose runs of negative ids stand in `token_ids`, in their order (`engine.pictures`).
    A worker that has served another `tenant` answers `SlotTaken`, and makes room for a new process.
    """

    id: int
    token_ids: tuple[bytes, ...]
    sampling: Sampling
    max_output_tokens: int
    cache_scope: str
    top_logprobs: int | None = None
    grammar: str = ""
    fence: Fence = 0
    adapter: str = ""
    images: tuple[Picture, ...] = ()
    tenant: str = ""


class Cancel(Frame, frozen=True, tag=True, kw_only=True):
    """Free the slot of request `id`; unknown ids are ignored (it may just have ended)."""

    id: int


class AskCounters(Frame, frozen=True, tag=True, kw_only=True):
    """Ask for `Counters`."""


class Drain(Frame, frozen=True, tag=True, kw_only=True):
    """Of the supervisor: take no request any more, and end with status 0 once none runs."""


class Farewell(Frame, frozen=True, tag=True, kw_only=True):
    """Answer to `Leaving`: no `Start` follows on this connection."""


WorkerRequest = Hello | Start | Cancel | AskCounters | Drain | Farewell


# ---- worker -> gateway


class WorkerHello(Frame, frozen=True, tag=True, kw_only=True):
    """First frame of a worker: what it serves. `adapters` are those it loaded, by the catalogue's names.

    `life` is drawn at the worker's start: its counts begin at nothing with it.
    """

    version: int
    model: str
    role: WorkerRole
    slots: Annotated[int, Meta(ge=1)]
    slot_context_tokens: Count
    threads: Count
    pid: int
    adapters: tuple[str, ...] = ()
    life: Annotated[str, Meta(max_length=32, pattern="^[0-9a-f]*$")] = ""


class Output(Frame, frozen=True, tag=True, kw_only=True):
    """What one request gained in one step: text (never a split character) and how many tokens it took."""

    id: int
    text: str
    output_tokens: Count
    logprobs: tuple[TokenLogprob, ...] = ()


class Ended(Frame, frozen=True, tag=True, kw_only=True):
    """A request is over and its slot is free. Exactly one of `reason` and `fault` is set.

    Counts and nanoseconds are the worker's own; `token_ids` (int32 LE) are the output tokens.
    `vectors` (float32 LE, one an input) only for embeddings. A cancelled request gets no Ended.
    """

    id: int
    reason: StopReason | None = None
    fault: str = ""
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    output_tokens: Count = 0
    prefill_ns: int = 0
    decode_ns: int = 0
    token_ids: bytes = b""
    vectors: tuple[bytes, ...] = ()


class SlotTaken(Frame, frozen=True, tag=True, kw_only=True):
    """Request `id` came one too many, or from a decider of the past; it was not started."""

    id: int


class Step(Frame, frozen=True, tag=True, kw_only=True):
    """One step: what each request of this connection gained, who ended, and how the step went."""

    outputs: tuple[Output, ...]
    ended: tuple[Ended, ...]
    step_ns: Count
    decode_rows: Count
    prefill_rows: Count
    cached_tokens: Count
    output_tokens: Count
    busy_slots: Count
    slots: Count


class Tally(Struct, frozen=True, kw_only=True):
    """What a worker did for the gateways of one name, since its start (`engine.batching.tallies`).

    `taken` starts were answered by anything but `SlotTaken`; of these `ended` with a reason, which the tokens are of,
    and `failed` with a fault. `connected`: somebody of that name holds a connection now.
    """

    gateway: Annotated[str, Meta(max_length=MAX_GATEWAY_NAME)]
    taken: Count
    ended: Count
    failed: Count
    prompt_tokens: Count
    output_tokens: Count
    connected: bool = True


class Counters(Frame, frozen=True, tag=True, kw_only=True):
    """Totals since the worker's start. `decode_calls` counts `llama_decode`, in which
    `output_tokens` were sampled; `steps` counts loop steps, `cancelled` freed before their end. `adapter_changes`
    counts steps that ran under another adapter than the one before. `parked` counts requests that gave way to full
    memory, `recomputed_tokens` the rows that this or a lost prefix cost again, not among `prefill_tokens`. `idle_bytes`
    is how much of idle prefixes lies outside the cells now, `idle_moves` how often one went there or came back.
    `tallies` are the same from outside, by gateway. A worker that ends says its last ones unasked.
    """

    decode_calls: int
    steps: int
    output_tokens: int
    prefill_tokens: int
    cached_tokens: int
    started: int
    ended: int
    cancelled: int
    busy_slots: int
    adapter_changes: int = 0
    parked: int = 0
    recomputed_tokens: int = 0
    idle_bytes: int = 0
    idle_moves: int = 0
    tallies: tuple[Tally, ...] = ()


class Leaving(Frame, frozen=True, tag=True, kw_only=True):
    """The worker ends once what it runs is over and everybody has said `Farewell`. Every `Start` is `SlotTaken` now."""


WorkerAnswer = WorkerHello | Step | SlotTaken | Counters | Leaving


# ---- gateway <-> preparer


class Prepare(Frame, frozen=True, tag=True, kw_only=True):
    """Make a call ready: render `messages` or `prompt`, tokenise, compile the format.

    `kind` as in Call. `tools` and `think` go to the template. `schema` None with `json_format` True
    means any JSON. `max_output_tokens` 0 means up to the context. `cache_scope` salts block hashes.
    `images`, as the caller sent them, belong to `prompt`; those of `messages` stand there.
    """

    id: int
    kind: Literal["chat", "completion", "embedding"]
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    system: str | None = None
    context: tuple[int, ...] = ()
    raw: bool = False
    inputs: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    think: bool | str | None = None
    json_format: bool = False
    schema: dict[str, Any] | None = None
    truncate: bool = True
    max_output_tokens: int = 0
    cache_scope: str = ""
    images: tuple[bytes, ...] = ()


class Describe(Frame, frozen=True, tag=True, kw_only=True):
    """Ask for the model's `Description`."""

    id: int


PreparerRequest = Hello | Prepare | Describe


class PreparerHello(Frame, frozen=True, tag=True, kw_only=True):
    """First frame of a preparer; counts and capabilities come from the file itself."""

    version: int
    model: str
    context_tokens: int
    capabilities: tuple[str, ...]
    pid: int


class Ready(Frame, frozen=True, tag=True, kw_only=True):
    """Answer to Prepare: ids (int32 LE, one entry a sequence), their count, block hashes, grammar.

    `max_output_tokens` is what the context leaves, at most what was asked; `form` how to read the answer;
    `images` are what was decoded from the caller's, for `Start`.
    """

    id: int
    token_ids: tuple[bytes, ...]
    prompt_tokens: Count
    block_hashes: tuple[bytes, ...] = ()
    grammar: str = ""
    max_output_tokens: int = 0
    form: AnswerForm = PLAIN
    images: tuple[Picture, ...] = ()


class Failed(Frame, frozen=True, tag=True, kw_only=True):
    """Answer to Prepare or Describe that went wrong. `kind` chooses the error raised:

    `input` -> PrepareFailed(reason, text), `context` -> ContextTooLong (counts set), `timeout` ->
    DeadlineExceeded. `text` is public and ours, `reason` private.
    """

    id: int
    kind: Literal["input", "context", "timeout"]
    reason: str
    text: str = ""
    prompt_tokens: int = 0
    limit_tokens: int = 0


class Description(Frame, frozen=True, tag=True, kw_only=True):
    """Answer to Describe: what `/api/show` needs beyond the catalogue."""

    id: int
    info: dict[str, Any]
    template: str


PreparerAnswer = PreparerHello | Ready | Failed | Description


class FrameError(Exception):
    """The other side sent something that is not a frame of this protocol. The text quotes nothing of it."""


class FrameReader:
    """Cuts a byte stream into decoded frames of one union type.

    >>> reader = FrameReader(WorkerRequest)
    >>> list(reader.feed(encode(Cancel(id=3))))
    [Cancel(id=3)]
    """

    def __init__(self, union: Any, most_bytes: int = MAX_FRAME_BYTES) -> None:
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(union)
        self._most_bytes = most_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Frames completed by `data`, in order. Raises FrameError for a foreign or oversized frame."""
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Any | None:
        if len(self._buffer) < LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[:LENGTH_BYTES], "little")
        if length > self._most_bytes:
            raise FrameError(f"frame of {length} bytes is above {self._most_bytes}")
        end = LENGTH_BYTES + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[LENGTH_BYTES:end])
        del self._buffer[:end]
        try:
            return self._decoder.decode(body)
        except msgspec.MsgspecError:
            raise FrameError("not a frame of this protocol") from None


_encoder = msgspec.msgpack.Encoder()


def encode(frame: Frame) -> bytes:
    """`frame` as bytes with its length prefix."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body
