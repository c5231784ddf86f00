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
from policies.worded import line_of, worded

Json = dict[str, Any]

REMEDIES = {
    "review_by_no_person": worded(
        "a review is signed by a person, not by a key: sign in as yourself", "review_by_no_person"
    ),
    "review_of_own_changes": worded(
        "you changed something in what you would sign: have somebody else review it", "review_of_own_changes"
    ),
}


def check_review(arguments: Json, context: ActContext) -> None:
    """Whether the person behind the act may sign. Blocks. Raises ActRefused, also where that cannot be found out."""
    asked, spans = _read(arguments)
    if not asked.reason.strip():
        line = "a sign-off needs a remark that says what was found"
        raise ActRefused("remark_missing", worded(line, "remark_missing"))
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
        told = worded(f"bad argument: {fault}", "argument_unfit", fault=line_of(fault))
        raise ActRefused("bad_argument", told) from fault


def _own_changes(context: ActContext, spans: tuple[Span, ...]) -> int:
    """Who has no name, or who cannot be looked up, signs nothing."""
    if context.changes_of is None or not context.actor.name:
        line = "the log cannot be searched for your own changes here: nothing is signed"
        raise ActRefused("log_unreadable", worded(line, "own_changes_unsearchable"))
    try:
        return context.changes_of(context.actor.name, spans)
    except SpanUnknown as fault:
        raise ActRefused("bad_argument", line_of(fault)) from fault
    except (IndexFault, IndexBroken, PersonsNotOpened, AuditUnavailable, sqlite3.Error, OSError) as fault:
        line = f"the log cannot be searched for your own changes ({fault}): run 'corral audit index', then sign again"
        raise ActRefused("log_unreadable", worded(line, "own_changes_unfound", fault=str(fault))) from fault
