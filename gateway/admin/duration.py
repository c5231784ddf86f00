"""Durations as people write them: `90d`, `12h`, `30m`, `45s`, `2w`; and moments: `2026-11-22T18:00:00Z`."""

import re
from datetime import datetime

from policies.worded import worded

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def read_duration_s(text: str) -> float:
    """The seconds in `text`. Raises ValueError with a sentence for an operator."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(worded(f"{text!r} is not a duration such as 90d, 12h or 30m", "duration_unfit", given=text))
    return float(int(match[1]) * _SECONDS[match[2]])


def read_moment_s(text: str, now_s: float) -> float:
    """The Unix second in `text`: RFC 3339 with its offset, or a duration from `now_s` on.

    Raises ValueError with a sentence for an operator; a moment without an offset is one, since the gateway's
    time zone need not be the operator's.
    """
    if _DURATION.fullmatch(text):
        return now_s + read_duration_s(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        line = f"{text!r} is neither a duration such as 12h nor a moment such as 2030-01-31T18:00:00Z"
        raise ValueError(worded(line, "moment_unfit", given=text))
    return moment.timestamp()
