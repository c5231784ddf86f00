"""`/v1/completions`: raw continuation of a text, from JSON to a wish."""

from typing import Any

from gateway.dialects.contract import Asked
from gateway.dialects.fields import read_fields
from gateway.dialects.logprobs import MAX_TOP_LOGPROBS
from gateway.dialects.model_field import known_model
from gateway.dialects.openai_renderer import CompletionRenderer
from gateway.dialects.openai_sampling import SamplingRequest, include_usage, read_sampling
from policies.call import Call
from policies.errors import BadRequest


class CompletionRequest(SamplingRequest):
    """The body. `prompt` is one text; lists of texts or tokens would be several answers."""

    prompt: str = ""
    suffix: str = ""
    logprobs: int | None = None


def read_completions(fields: dict[str, Any] | None, _model: str) -> Asked:
    """A completion. Raises BadRequest or ModelUnknown."""
    request = read_fields(fields or {}, CompletionRequest)
    model = known_model(request.model)
    if not request.prompt:
        raise BadRequest("prompt_missing", 'missing field "prompt"')
    if request.logprobs is not None and not 0 <= request.logprobs <= MAX_TOP_LOGPROBS:
        raise BadRequest("logprobs_range", f"logprobs must be between 0 and {MAX_TOP_LOGPROBS}")
    call = Call(
        kind="completion",
        model=model,
        prompt=request.prompt,
        suffix=request.suffix,
        raw=True,
        top_logprobs=request.logprobs,
        **read_sampling(request),
    )
    renderer = CompletionRenderer(model, streamed=request.stream, include_usage=include_usage(request))
    return Asked(call=call, renderer=renderer)
