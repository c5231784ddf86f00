"""Which TLS files end soon, and which warnings of that are due.

Rules: a warning belongs to the narrowest threshold of `WARN_DAYS` that a file is within, its edge included; what
was warned of before is not due again, until the file is replaced by one with another end. A file that has ended
is warned of once more, as 0 days.
"""

from collections.abc import Iterable, Set

from msgspec import Struct

from policies.credentials.key_record import DAY_S

WARN_DAYS = (30, 7, 1, 0)
"""A month to order a certificate, a week to install it, the last call, and the end."""


class FileEnd(Struct, frozen=True):
    """`file` is certificate, client_ca or client_crl; `ends_s` the first end in it, in Unix seconds."""

    file: str
    ends_s: float


class EndWarning(Struct, frozen=True):
    """The file is good for `days` days or less; 0 means that it has ended."""

    end: FileEnd
    days: int


def due_warnings(ends: Iterable[FileEnd], now_s: float, warned: Set[EndWarning]) -> tuple[EndWarning, ...]:
    """The warnings that hold at `now_s` (Unix seconds) and are not among `warned`."""
    holding = (_warning(end, end.ends_s - now_s) for end in ends)
    return tuple(warning for warning in holding if warning is not None and warning not in warned)


def _warning(end: FileEnd, left_s: float) -> EndWarning | None:
    days = min((days for days in WARN_DAYS if left_s <= days * DAY_S), default=None)
    return None if days is None else EndWarning(end, days)
