"""The act that signs a review off: `corral audit review`, and the console's. Its rules: `policies.auditing.review`."""

import sqlite3
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import ReviewAct, read_arguments
from gateway.audit.index.index_file import IndexBroken, IndexFault
from gateway.audit.index.opened_records import PersonsNotOpened
from gateway.audit.index.reviewed_spans import SpanUnknown
from policies.audit_record import Change
from policies.auditing.review import Span, read_spans, require_reviewer, span_details
from policies.errors import AuditUnavailable, NotAuthorized

Json = dict[str, Any]

REMEDIES = {
    "review_by_no_person": "a review is signed by a person, not by a key: sign in as yourself",
    "review_of_own_changes": "you changed something in what you would sign: have somebody else review it",
}


def check_review(arguments: Json, context: ActContext) -> None:
    """Whether the person behind the act may sign. Blocks. Raises ActRefused, also where that cannot be found out."""
    asked, spans = _read(arguments)
    if not asked.reason.strip():
        raise ActRefused("remark_missing", "a sign-off needs a remark that says what was found")
    try:
        require_reviewer(context.actor, _own_changes(context, spans))
    except NotAuthorized as fault:
        raise ActRefused(fault.reason, REMEDIES[fault.reason]) from fault


def record_review(arguments: Json, _context: ActContext) -> Outcome:
    """The sign-off, once `check_review` has let it pass."""
    asked, spans = _read(arguments)
    details: Json = {"filter": asked.filter, "filter_hash": asked.filter_hash, "hits": asked.hits}
    said = {name: value for name, value in (details | span_details(spans)).items() if value != ""}
    change = Change(object="audit:review", details=said, reason=asked.reason, ticket=asked.ticket)
    signed = {"chains": [span.text for span in spans], "hits": asked.hits}
    return Outcome(result=signed, notes=(("audit.reviewed", change),))


def _read(arguments: Json) -> tuple[ReviewAct, tuple[Span, ...]]:
    asked = read_arguments(arguments, ReviewAct)
    try:
        return asked, read_spans(asked.ranges)
    except ValueError as fault:
        raise ActRefused("bad_argument", f"bad argument: {fault}") from fault


def _own_changes(context: ActContext, spans: tuple[Span, ...]) -> int:
    """Who has no name, or who cannot be looked up, signs nothing."""
    if context.changes_of is None or not context.actor.name:
        raise ActRefused("log_unreadable", "the log cannot be searched for your own changes here: nothing is signed")
    try:
        return context.changes_of(context.actor.name, spans)
    except SpanUnknown as fault:
        raise ActRefused("bad_argument", str(fault)) from fault
    except (IndexFault, IndexBroken, PersonsNotOpened, AuditUnavailable, sqlite3.Error, OSError) as fault:
        text = f"the log cannot be searched for your own changes ({fault}): run 'corral audit index', then sign again"
        raise ActRefused("log_unreadable", text) from fault
