"""When a segment of the log ends, and when it may go.

Decides by facts that it is given; the acts are in gateway/audit/audit_writer.py and gateway/audit/segment_keeper.py.

Rules:
 (1) A segment ends before it would grow past its bound, and once it is a day old. One with no line of its own yet
     does not end: a commit larger than a segment gets one for itself.
 (2) A clock that was set back does not end a segment.
 (3) A closed segment may go when its last record is older than the retention, which is at least 180 days (EU AI Act,
     articles 19 and 26(6): six months), and no legal hold covers any of its time.
 (4) Only the oldest may go, so that what is left is one piece.
 (5) A hold without a beginning or an end reaches as far as the log does. A segment whose times are not known is held
     by every hold.
"""

from collections.abc import Iterable

from msgspec import Struct

DAY_S = 86_400.0
SEGMENT_AGE_S = DAY_S
MIN_RETENTION_DAYS = 180
MAX_RETENTION_DAYS = 36_500
SEALING_BYTES = 512
"""Room that is kept for a segment's last line."""


class Hold(Struct, frozen=True, kw_only=True):
    """A legal hold: nothing recorded in its time is removed until it is lifted. Unix seconds, both ends included."""

    id: str
    from_s: float | None = None
    to_s: float | None = None
    set_s: float = 0.0
    reason: str = ""
    ticket: str = ""


class Span(Struct, frozen=True):
    """From a segment's first record to its last, in Unix seconds; None where that could not be read."""

    begin_s: float | None
    end_s: float | None


def is_over(size_bytes: int, more_bytes: int, bound_bytes: int) -> bool:
    """Rule (1): whether a segment of this size must end before so much more is written."""
    return bool(size_bytes) and size_bytes + more_bytes + SEALING_BYTES > bound_bytes


def is_old(opened_s: float, now_s: float, age_s: float = SEGMENT_AGE_S) -> bool:
    """Rules (1) and (2): whether a segment's day is over."""
    return now_s - opened_s >= age_s


def covers(hold: Hold, span: Span) -> bool:
    """Rule (5)."""
    begins_after = span.begin_s is not None and hold.to_s is not None and span.begin_s > hold.to_s
    ends_before = span.end_s is not None and hold.from_s is not None and span.end_s < hold.from_s
    return not begins_after and not ends_before


def may_go(span: Span, now_s: float, retention_days: int, holds: Iterable[Hold]) -> bool:
    """Rule (3), for the oldest closed segment."""
    days = max(retention_days, MIN_RETENTION_DAYS)
    if span.end_s is None or now_s - span.end_s < days * DAY_S:
        return False
    return not any(covers(hold, span) for hold in holds)
