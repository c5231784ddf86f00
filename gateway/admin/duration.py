"""Durations as people write them: `90d`, `12h`, `30m`, `45s`, `2w`."""

import re

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def read_duration_s(text: str) -> float:
    """The seconds in `text`. Raises ValueError with a sentence for an operator."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 90d, 12h or 30m")
    return float(int(match[1]) * _SECONDS[match[2]])
