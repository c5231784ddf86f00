"""Which API keys and registered public keys end soon, and which warnings of that are due.

Rules:
- Only an active key is warned of. Its end is its expiry, or the end of its overlap if that is sooner.
- A warning belongs to the narrowest threshold of `WARN_DAYS` that the key is within, its edge included: a
  gateway that starts three days before the end says 7, not 14 and 7.
- What was warned of before is not due again. Who keeps that, and how long, is the caller's business.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from policies.credentials.key_record import DAY_S, KeyRecord
from policies.credentials.public_key import PublicKeyRecord

WARN_DAYS = (14, 7, 1)
"""Two weeks to plan a rotation, one to do it, and the last call."""


@dataclass(frozen=True, slots=True)
class KeyEnd:
    """A key that is active, and the seconds that it still holds."""

    key_id: str
    team: str
    left_s: float


@dataclass(frozen=True, slots=True)
class ExpiryWarning:
    """The key holds for `days` days or less."""

    key_id: str
    team: str
    days: int


def ends_within(records: Iterable[KeyRecord | PublicKeyRecord], now_s: float, span_s: float) -> tuple[KeyEnd, ...]:
    """The active keys of `records` that end by themselves at `now_s + span_s` or before."""
    ends = ((record, record.ends_s) for record in records if record.state(now_s) == "active")
    return tuple(
        KeyEnd(record.id, record.team, end_s - now_s)
        for record, end_s in ends
        if end_s is not None and end_s - now_s <= span_s
    )


def due_warnings(
    records: Iterable[KeyRecord | PublicKeyRecord], now_s: float, warned: Set[ExpiryWarning]
) -> tuple[ExpiryWarning, ...]:
    """The warnings that hold at `now_s` (Unix seconds) and are not among `warned`."""
    ends = ends_within(records, now_s, max(WARN_DAYS) * DAY_S)
    return tuple(warning for warning in map(_warning, ends) if warning not in warned)


def _warning(end: KeyEnd) -> ExpiryWarning:
    return ExpiryWarning(end.key_id, end.team, min(days for days in WARN_DAYS if end.left_s <= days * DAY_S))
