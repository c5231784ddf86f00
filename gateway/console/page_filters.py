"""How templates write times, numbers and durations, and the last hand on everything that they print."""

import math
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from policies.console.plain_text import plain

DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60
_MICROSECONDS, _NANOSECONDS = 1e14, 1e17
"""As seconds, 1e14 would be three million years from now: above it microseconds are counted, above 1e17 nanoseconds."""
NOTHING = "\N{EN DASH}"


def printed(value: Any) -> Any:
    """Everything that a template prints goes through here, before it is escaped."""
    if isinstance(value, Markup):
        return value
    return plain(value) if isinstance(value, str) else value


def when(value: str | float | None) -> str:
    """A moment in UTC to the second with its `<time>`: ISO text, or Unix seconds, micro- or nanoseconds."""
    moment = _moment(value)
    if moment is None:
        return NOTHING if value is None else plain(str(value))
    exact = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    shown = moment.strftime("%Y-%m-%d %H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(exact, shown)


def _moment(value: str | float | None) -> datetime | None:
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
        if value is None or not math.isfinite(value):
            return None
        scale = 1e9 if abs(value) > _NANOSECONDS else 1e6 if abs(value) > _MICROSECONDS else 1.0
        return datetime.fromtimestamp(value / scale, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def number(value: float | None, digits: int | None = None) -> str:
    """A number with thin gaps between thousands, and `digits` places; by default as few as it needs, up to three."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    text = f"{value:,.{digits}f}" if digits is not None else f"{value:,d}" if isinstance(value, int) else _short(value)
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def _short(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def duration(seconds: float | None) -> str:
    """A time span in its two largest units: `3 d 4 h`, `12 min 5 s`, `0.25 s`."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    sign, left = ("-" if seconds < 0 else ""), abs(seconds)
    if left < MINUTE_S:
        return f"{sign}{_short(round(left, 2) if left < 10 else round(left))} s"
    whole = round(left)
    parts: list[str] = []
    for unit, length in (("d", DAY_S), ("h", HOUR_S), ("min", MINUTE_S), ("s", 1)):
        count, whole = divmod(whole, length)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return sign + " ".join(part for part in parts[:2] if part)
