"""For how long the log is kept, when config.yaml says another time than what is in force.

Decides at the start of a gateway; two persons' approval while it runs sets what is in force
(gateway/admin/retention_acts.py).

Rules:
 (1) As long as before, or longer, is in force at once.
 (2) Shorter is in force at once only where no signers are set: one person alone shortens it, and a record says so.
 (3) With signers the longer time stays in force until two of them have approved the shorter one.
 (4) With signers, and nothing known of what was in force, nothing is pruned until two have approved a time: a file that
     is taken away must not shorten anything.
"""

from typing import Literal

from msgspec import Struct

from policies.auditing.segment_life import MAX_RETENTION_DAYS


class RetentionVerdict(Struct, frozen=True):
    """`days` in force. `shortened`: by one person alone, to be recorded; `waits`: the configured one does not hold."""

    days: int
    keeps: Literal["as_configured", "shortened", "waits"]


def settle_retention(in_force: int | None, configured: int, *, has_signers: bool) -> RetentionVerdict:
    """What is in force from this start on. `in_force` None: not known; both in days."""
    if in_force is None and has_signers:
        return RetentionVerdict(MAX_RETENTION_DAYS, "waits")
    if in_force is None or configured >= in_force:
        return RetentionVerdict(configured, "as_configured")
    return RetentionVerdict(in_force, "waits") if has_signers else RetentionVerdict(configured, "shortened")
