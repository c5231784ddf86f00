"""`X-RateLimit-*`: what a caller has left, in the names and the form that OpenAI's clients know.

`-requests` and `-tokens` each show the caller's tightest limit: the least remaining of its address, its key and its
team; of prompt and output tokens the tighter. The limits on a model and on all callers are left out: what is left
of them tells what others do. `-reset-` is the time until the limit is as if never used, such as `1s` or `6m0s`.
"""

import math
from collections.abc import Iterable

from policies.standing import Standing, Whose

Headers = tuple[tuple[str, str], ...]

OWN: tuple[Whose, ...] = ("address", "key", "team")


def limit_headers(standings: Iterable[Standing]) -> Headers:
    """The headers for what is known of the caller's rates; none when nothing is limited."""
    own = [each for each in standings if each.whose in OWN]
    requests = [each for each in own if each.unit == "requests"]
    tokens = [each for each in own if each.unit != "requests"]
    return _tightest("Requests", requests) + _tightest("Tokens", tokens)


def _tightest(kind: str, standings: list[Standing]) -> Headers:
    if not standings:
        return ()
    least = min(standings, key=lambda each: (each.remaining, -each.reset_s))
    return (
        (f"X-RateLimit-Limit-{kind}", str(least.limit)),
        (f"X-RateLimit-Remaining-{kind}", str(least.remaining)),
        (f"X-RateLimit-Reset-{kind}", duration_text(least.reset_s)),
    )


def duration_text(seconds: float) -> str:
    """`850ms`, `12s`, `6m0s`, `1h0m0s`: as Go prints a duration, rounded up so that nobody comes too early."""
    milliseconds = math.ceil(max(seconds, 0.0) * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    whole_s = -(-milliseconds // 1000)
    hours, minutes, rest = whole_s // 3600, whole_s // 60 % 60, whole_s % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
