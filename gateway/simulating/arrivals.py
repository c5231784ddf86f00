"""The traffic of a simulation, as values."""

from msgspec import Struct

from policies.call import CallKind


class Arrival(Struct, frozen=True, kw_only=True):
    """One request of a trace: when it comes, whose it is, and how much work it will turn out to be.

    `at_s` is seconds from the start of the trace. `prompt_tokens` is the whole prompt, `cached_tokens` how many of them
    the engine still has; `output_tokens` is how long the answer really gets, which no policy is told before its end,
    `output_cap` the longest the caller asked for. `promise_s` is its promise of a first token (None: none).
    """

    at_s: float
    team: str
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    output_cap: int = 4096
    promise_s: float | None = None
    weight: float = 1.0
    band: str = ""
    kind: CallKind = "chat"
    model: str = "m"
