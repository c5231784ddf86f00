"""The week or the month that a report is about, in UTC, whatever the machine it is made on believes.

Rules:
 (1) A month is written 2026-10, a week 2026-W43 as ISO 8601 counts them (Monday is its first day).
 (2) The first moment belongs to it, the first moment of the next one does not.
 (3) Times of records sort as texts, so a record is in the period when its text is between those of the two ends.
"""

import re
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct

_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})\Z")
_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})\Z")
FIRST_YEAR, LAST_YEAR = 1970, 9998
"""Between these every period has a begin and an end that can be written."""


class Period(Struct, frozen=True):
    """`since` and `until` as records tell times: the first moment in it and the first one behind it."""

    name: str
    since: str
    until: str

    def holds(self, ts: str) -> bool:
        """Whether a record of this time is in it."""
        return self.since <= ts < self.until

    @property
    def since_s(self) -> float:
        """Unix seconds of the first moment in it."""
        return datetime.fromisoformat(self.since).timestamp()

    @property
    def until_s(self) -> float:
        """Unix seconds of the first moment behind it."""
        return datetime.fromisoformat(self.until).timestamp()


def read_month(text: str) -> Period:
    """The month in `text`. Raises ValueError with a sentence."""
    if found := _MONTH.match(text):
        year, month = int(found[1]), int(found[2])
        if FIRST_YEAR <= year <= LAST_YEAR and 1 <= month <= 12:
            first, last = date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)
            return _period(text, first, last)
    raise ValueError(f"a month is written like 2026-10, not {text!r}")


def read_week(text: str) -> Period:
    """The week in `text`. Raises ValueError with a sentence, also for a week 53 that the year does not have."""
    if (found := _WEEK.match(text)) and FIRST_YEAR < int(found[1]) <= LAST_YEAR:
        try:
            first = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        except ValueError:
            raise ValueError(f"{found[1]} has no week {found[2]}") from None
        return _period(text, first, first + timedelta(days=7))
    raise ValueError(f"a week is written like 2026-W43, not {text!r}")


def read_period(text: str) -> Period:
    """The week or month of that name. Raises ValueError."""
    return read_week(text) if "W" in text else read_month(text)


def as_ts(unix_s: float) -> str:
    """A time as records tell it."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _period(name: str, first: date, behind: date) -> Period:
    since, until = (f"{day.isoformat()}T00:00:00.000000Z" for day in (first, behind))
    return Period(name, since, until)
