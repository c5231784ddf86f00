"""The neutral middle: what a caller asks for (`Call`) and what an engine answers (`Event`).

Dialects translate at the edge into one `Call` and read one stream of `Event`s; policies see only
Calls, engines see only Calls. The types are plain, immutable and hold no client bytes beyond the
fields named here, so nothing a client invented can travel further. This module imports nothing of
ours and is the one module of `policies` that `engine` may import.
"""

from typing import Any, Literal

from msgspec import Struct

CallKind = Literal["chat", "completion", "embedding"]
StopReason = Literal["stop", "length", "tool_calls"]


class ToolCall(Struct, frozen=True):
    """One function the model wants called; `arguments` is the decoded JSON object."""

    id: str
    name: str
    arguments: dict[str, Any]


class Tool(Struct, frozen=True):
    """A function the caller offers; `parameters` is its JSON schema, property order preserved."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class Message(Struct, frozen=True):
    """One turn of a conversation. `images` are decoded bytes, `reasoning` an earlier thought."""

    role: str
    content: str = ""
    reasoning: str = ""
    images: tuple[bytes, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


class Sampling(Struct, frozen=True):
    """How the next token is chosen. Names and defaults are those of Ollama's `options`.

    `seed` None draws a fresh one; `repeat_last_n` 0 turns penalties off, -1 means the whole context.
    `temperature` 0 is greedy.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


class Format(Struct, frozen=True):
    """The shape the output is held to: free text, any JSON value, or a JSON schema."""

    kind: Literal["text", "json", "schema"] = "text"
    schema: dict[str, Any] | None = None


class Call(Struct, frozen=True, kw_only=True):
    """One request for work, of any dialect.

    `model` is the name as the caller wrote it until authorisation replaces it by the catalogue's.
    `kind` chat uses `messages`; completion uses `prompt` (with `system`, `suffix`, `images`, `context`;
    `raw` skips the template); embedding uses `inputs`. `max_output_tokens` None means the model's
    own bound. `top_logprobs` None asks for none, 0 for the chosen token's only. `truncate` False
    makes a prompt beyond the context an error instead of being cut. `cache_scope` is opaque:
    cached prefixes are reused only between equal scopes. A worker process serves one `tenant` in its life: a team that
    shares none, or "" for all others. `deadline_s` counts from arrival. `caller` is opaque too, and no process hears of
    it: whose requests are looked at together when a worker died with them.
    """

    kind: CallKind
    model: str
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    system: str | None = None
    suffix: str = ""
    context: tuple[int, ...] = ()
    raw: bool = False
    images: tuple[bytes, ...] = ()
    inputs: tuple[str, ...] = ()
    dimensions: int = 0
    tools: tuple[Tool, ...] = ()
    format: Format = Format()
    sampling: Sampling = Sampling()
    max_output_tokens: int | None = None
    top_logprobs: int | None = None
    think: bool | Literal["low", "medium", "high", "max"] | None = None
    truncate: bool = True
    deadline_s: float | None = None
    adapter: str = ""
    cache_scope: str = ""
    tenant: str = ""
    caller: str = ""


class TokenLogprob(Struct, frozen=True):
    """One token's text, its bytes, natural-log probability, and the likeliest alternatives."""

    token: str
    token_bytes: bytes
    logprob: float
    top: tuple["TokenLogprob", ...] = ()


class Text(Struct, frozen=True, tag="text"):
    """The next piece of the answer; never splits a character. May be empty when it only carries logprobs.

    `tokens` is how many it took, those included that were held back for it; 1 where the engine does not say.
    """

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    tokens: int = 1


class Reasoning(Struct, frozen=True, tag="reasoning"):
    """The next piece of the model's reasoning. `tokens` as in `Text`."""

    text: str
    tokens: int = 1


class ToolCalled(Struct, frozen=True, tag="tool_call"):
    """One complete tool call; never partial arguments. `tokens` None: the engine does not say how many it took."""

    call: ToolCall
    tokens: int | None = None


class Embedded(Struct, frozen=True, tag="embedding"):
    """One vector an input, in the order of the inputs, as the engine gives them (not normalised)."""

    vectors: tuple[tuple[float, ...], ...]


class Usage(Struct, frozen=True):
    """Counts of the engine itself. `prompt_tokens` includes the `cached_tokens` among them."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Timings(Struct, frozen=True):
    """Nanoseconds the engine spent on this request: reading the prompt, writing the answer, loading."""

    prefill_ns: int = 0
    decode_ns: int = 0
    load_ns: int = 0


class Final(Struct, frozen=True, tag="final"):
    """The last event of every stream that ended well. `context`: prompt and answer as token ids."""

    reason: StopReason
    usage: Usage = Usage()
    timings: Timings = Timings()
    context: tuple[int, ...] = ()


Event = Text | Reasoning | ToolCalled | Embedded | Final


class ModelDetails(Struct, frozen=True):
    """What model lists show. `parameter_size` is human ("134.5M"), lengths are in tokens and floats."""

    format: str = "gguf"
    family: str = ""
    families: tuple[str, ...] = ()
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int = 0
    embedding_length: int = 0


class ModelCard(Struct, frozen=True, kw_only=True):
    """One model an engine can serve.

    `name` is the catalogue's own spelling, always with tag. `digest` is 64 hex without prefix.
    `modified_at` is Unix seconds. `slots` is how many requests the engine runs at once for it.
    `context_length` in `details` is the model's, `slot_context_tokens` what one request may use.
    `system` is put before conversations that bring no system message; it is never shown.
    `parent` is the name of the model that this one is a LoRA adapter of, "" for a model of its own.
    `expires_at` is the Unix time at which a loaded model goes if nobody uses it; None: not by itself.
    """

    name: str
    digest: str
    size_bytes: int
    modified_at: float
    details: ModelDetails = ModelDetails()
    capabilities: tuple[str, ...] = ("completion",)
    slots: int = 0
    slot_context_tokens: int = 0
    system: str = ""
    parent: str = ""
    expires_at: float | None = None


class ModelDescription(Struct, frozen=True, kw_only=True):
    """What `/api/show` tells beyond the card; `info` holds GGUF keys, `parameters` Modelfile lines."""

    info: dict[str, Any]
    template: str = ""
    system: str = ""
    license: str = ""
    parameters: str = ""
