"""The sampling fields that `/v1/chat/completions` and `/v1/completions` share.

A value out of OpenAI's range is refused, as OpenAI does. What the request leaves open is OpenAI's
default for temperature and top_p (1.0), Ollama's for the rest.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.dialects.fields import MAX_INTEGER
from gateway.dialects.ollama_options import MAX_OUTPUT_TOKENS, seed_of, stops_of
from policies.call import Sampling
from policies.errors import BadRequest

Penalty = Annotated[float, Meta(ge=-2, le=2)]
TokenBound = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]


class StreamOptions(Struct):
    """`stream_options`."""

    include_usage: bool | None = None


class SamplingRequest(Struct):
    """What both routes take. `n` must be 1: one request is one slot."""

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: TokenBound | None = None
    seed: Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)] | None = None
    stop: str | list[str] = []
    temperature: Annotated[float, Meta(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Meta(ge=0, le=1)] = 1.0
    frequency_penalty: Penalty = 0.0
    presence_penalty: Penalty = 0.0
    n: int = 1


def read_sampling(request: SamplingRequest) -> dict[str, Any]:
    """The fields of a Call: sampling and the output cap. Raises BadRequest."""
    if request.n != 1:
        raise BadRequest("n_not_one", 'invalid field "n": must be 1')
    sampling = Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        seed=seed_of(request.seed),
        stop=stops_of([request.stop] if isinstance(request.stop, str) else request.stop),
    )
    return {"sampling": sampling, "max_output_tokens": bounded_tokens(request.max_tokens)}


def bounded_tokens(*wanted: int | None) -> int | None:
    """The smallest of the caps that are set, or None."""
    caps = [cap for cap in wanted if cap is not None]
    return min(*caps, MAX_OUTPUT_TOKENS) if caps else None


def include_usage(request: SamplingRequest) -> bool:
    """True when the stream shall end with a usage chunk."""
    return bool(request.stream_options and request.stream_options.include_usage)
