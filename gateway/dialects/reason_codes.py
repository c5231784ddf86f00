"""The codes of what the queue, a limit or a request's size refused, the same in every dialect (docs/queue-contract.md).

OpenAI's body has them as `reason`; Ollama's has no place for one, so the header `X-Admission-Reason` says it there too.
"""

from engine.errors import ContextTooLong, EngineError
from policies.errors import (
    BeyondLimit,
    BodyTooLarge,
    CallerKillsWorkers,
    NoCapacity,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    Refused,
    RequestKillsWorker,
)

OVERLOAD_REASONS = ("queue_full", "team_queue_full", "deadline_unreachable", "expired_in_queue")
CODES: tuple[tuple[type[Refused | EngineError], str], ...] = (
    (RateLimited, "rate_limited"),
    (QuotaExceeded, "rate_limited"),
    (NoCapacity, "no_capacity"),
    (BeyondLimit, "too_large"),
    (BodyTooLarge, "too_large"),
    (ContextTooLong, "too_large"),
    (RequestKillsWorker, "request_kills_worker"),
    (CallerKillsWorkers, "caller_kills_workers"),
)
"""Error -> its code; an overload's is its own."""


def reason_code(error: Refused | EngineError | None) -> str:
    """The code for `error`; empty for one that has none. An overload elsewhere than in the queue has none."""
    if isinstance(error, Overloaded):
        return error.reason if error.reason in OVERLOAD_REASONS else ""
    return next((code for kind, code in CODES if isinstance(error, kind)), "")
