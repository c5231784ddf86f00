"""How long the keys are needed that open what the log says of persons: as long as a record of their month is kept.

Rules:
 (1) A chain needs every month from that of its first stored record on.
 (2) Records are written in the order of their commits, so one may be dated a little earlier than the one before it:
     a day is left for that, which is far more than any request waits.
 (3) Where one chain's first record cannot be dated, or there is no chain, no key is given up.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

MARGIN_S = 86_400.0


def first_needed_month(first_records_s: Sequence[float | None]) -> str:
    """The first month whose keys are needed, like 2026-11; empty where none may go. Unix seconds, one a chain."""
    known = [each for each in first_records_s if each is not None]
    if not known or len(known) != len(first_records_s):
        return ""
    return datetime.fromtimestamp(min(known) - MARGIN_S, UTC).strftime("%Y-%m")
