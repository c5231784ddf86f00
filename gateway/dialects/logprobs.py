"""Log-probabilities of tokens: what is asked for, and both dialects' way of writing them."""

from collections.abc import Sequence
from typing import Any

from policies.call import TokenLogprob
from policies.errors import BadRequest

MAX_TOP_LOGPROBS = 20
LOWEST_LOGPROB = -9999.0
"""What OpenAI writes for a token of no probability; JSON has no minus infinity."""


def top_logprobs_of(wanted: bool, top: int) -> int | None:
    """`Call.top_logprobs` for the two fields. Raises BadRequest."""
    if not 0 <= top <= MAX_TOP_LOGPROBS:
        raise BadRequest("top_logprobs_range", f"top_logprobs must be between 0 and {MAX_TOP_LOGPROBS}")
    return top if wanted else None


def token_logprobs(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """A list of `{token, logprob, bytes, top_logprobs}`: the form of Ollama and of chat completions."""
    return [_one(token) | {"top_logprobs": [_one(other) for other in token.top]} for token in tokens]


def completion_logprobs(tokens: Sequence[TokenLogprob], offset_chars: int) -> dict[str, Any]:
    """The four parallel lists of `/v1/completions`; `offset_chars` is where the first token begins."""
    offsets = []
    for token in tokens:
        offsets.append(offset_chars)
        offset_chars += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [{other.token: _finite(other.logprob) for other in token.top} for token in tokens],
        "text_offset": offsets,
    }


def _one(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.token, "logprob": _finite(token.logprob), "bytes": list(token.token_bytes)}


def _finite(logprob: float) -> float:
    # Also turns NaN into the lowest: a comparison with NaN is false.
    return max(LOWEST_LOGPROB, logprob)
