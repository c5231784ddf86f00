"""The words for a limit that was reached: which one, whose it is, and when it frees; the same in every dialect."""

import math

from gateway.dialects.quoting import quoted
from policies.errors import BeyondLimit, CallerKillsWorkers, Overloaded, QuotaExceeded, RateLimited

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
KILLS_WORKER = "this request ended the process of its model each time it ran, and is refused for up to an hour"


def limit_text(error: RateLimited) -> str:
    """A rate or concurrency limit."""
    return f"rate limit reached: {quoted(error.limit)}; try again in {wait_text(error.retry_after_s)}"


def quota_text(error: QuotaExceeded) -> str:
    """A budget."""
    return f"quota used up: {quoted(error.limit)}; it begins anew in {wait_text(error.retry_after_s)}"


def beyond_text(error: BeyondLimit) -> str:
    """What no wait can help."""
    too_large = f"the request is larger than the limit allows at all: {quoted(error.limit)}"
    return f"{too_large}; shorten the prompt or the answer asked for"


def kills_workers_text(error: CallerKillsWorkers) -> str:
    """A caller of whose requests one after another ended the process of a model."""
    told = "several requests of this key ended the process of their model, so none of its requests is run for a while"
    return f"{told}; try again in {wait_text(error.retry_after_s)}"


def overload_text(error: Overloaded) -> str:
    """The queue. Without a moment to come back no retry is asked for, which the official clients would make at once."""
    if error.retry_after_s is None:
        return "server busy: this request cannot be served in time within the next two minutes"
    return f"server busy, please try again in {wait_text(error.retry_after_s)}"


def wait_text(seconds: float) -> str:
    """Seconds, minutes, hours or days as a reader would say it, rounded up: Retry-After has the exact seconds."""
    whole_s = max(math.ceil(seconds), 0)
    if whole_s < 2 * MINUTE_S:
        return "1 second" if whole_s == 1 else f"{whole_s} seconds"
    if whole_s < 2 * HOUR_S:
        return f"{math.ceil(whole_s / MINUTE_S)} minutes"
    return f"{math.ceil(whole_s / HOUR_S)} hours" if whole_s < 2 * DAY_S else f"{math.ceil(whole_s / DAY_S)} days"
