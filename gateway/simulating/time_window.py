"""A stretch of time as an operator names it: `FROM..TO`, each a date, a moment, a time ago, or `now`.

A date as TO counts whole, so that `2026-11-16..2026-11-22` is a week. What has no offset is UTC, as the log is.
"""

import re
from datetime import UTC, datetime, timedelta

from msgspec import Struct

AGO = re.compile(r"([0-9]{1,6})([smhdw])\Z")
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


class WindowFault(ValueError):
    """The words name no stretch of time; the message is one line with the remedy."""


class Window(Struct, frozen=True):
    """From one moment to just before another, in seconds since 1970."""

    from_s: float
    to_s: float

    def holds(self, at_s: float) -> bool:
        """True when the moment lies in it."""
        return self.from_s <= at_s < self.to_s


def read_window(words: str, now_s: float) -> Window:
    """The stretch that `words` name at the moment `now_s`. Raises WindowFault."""
    first, dots, last = words.partition("..")
    if not dots:
        raise WindowFault(f"{words[:60]!a} is no stretch of time: give FROM..TO, such as 7d..now")
    window = Window(_moment_s(first, now_s, whole_day=False), _moment_s(last, now_s, whole_day=True))
    if not window.from_s < window.to_s:
        raise WindowFault(f"{words[:60]!a} ends before it begins: give the earlier moment first")
    return window


def _moment_s(word: str, now_s: float, *, whole_day: bool) -> float:
    if word == "now":
        return now_s
    if ago := AGO.match(word):
        return now_s - int(ago[1]) * UNIT_S[ago[2]]
    try:
        moment = datetime.fromisoformat(word)
        if whole_day and DATE.match(word):
            moment += timedelta(days=1)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise WindowFault(
            f"{word[:40]!a} is no moment: give a date (2026-11-16), a moment (2026-11-16T09:30), "
            "a time ago (90m, 24h, 7d, 2w) or now"
        ) from None
