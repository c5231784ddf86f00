"""The act `corral audit retention DAYS`: the log is kept for a shorter time, from now on.

A longer time needs nobody's consent: config.yaml says it, and the next start takes it. Two persons approve a shorter
one here; a gateway that runs prunes by it within a minute.
"""

from functools import partial
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import SetRetention, read_arguments
from gateway.audit.retention_book import RetentionBook, RetentionBroken
from policies.audit_record import Change
from policies.auditing.segment_life import MAX_RETENTION_DAYS, MIN_RETENTION_DAYS

Json = dict[str, Any]


def set_retention(arguments: Json, context: ActContext) -> Outcome:
    """Put a shorter time in force."""
    asked = read_arguments(arguments, SetRetention)
    if not MIN_RETENTION_DAYS <= asked.days <= MAX_RETENTION_DAYS:
        raise ActRefused("bad_argument", f"the log is kept {MIN_RETENTION_DAYS} to {MAX_RETENTION_DAYS} days")
    book = RetentionBook(context.consents.home / "audit")
    try:
        known = book.days()
    except RetentionBroken as fault:
        raise ActRefused("retention_unreadable", str(fault)) from fault
    if known is not None and asked.days >= known:
        raise ActRefused(
            "not_shorter", f"{known} days are in force: a longer time is set in config.yaml, and holds from the start"
        )
    details: dict[str, str | int | float | bool] = {"from_days": known or MAX_RETENTION_DAYS, "to_days": asked.days}
    change = Change(object="audit:retention", details=details, reason=asked.reason, ticket=asked.ticket)
    return Outcome(
        result={"from_days": known, "to_days": asked.days},
        notes=(("retention.shortened", change),),
        then=(partial(_save, book, asked.days),),
    )


def _save(book: RetentionBook, days: int) -> None:
    try:
        book.save(days)
    except OSError as fault:
        raise ActRefused(
            "retention_unwritable", f"the time cannot be written ({fault.strerror}): free space beside the audit log"
        ) from fault
