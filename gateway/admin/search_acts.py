"""The acts that say who read the log: they only record. The reading is the command's, once its record is lasting.

What was asked may name a person, so it goes into the log as a remark does: enciphered, and erased with the person
(policies/auditing/person_fields.py). Its hash, for seeing that two searches were the same, is of what names nobody.
"""

from typing import Any

from gateway.admin.act import ActContext, Outcome
from gateway.admin.act_arguments import ExportAct, QueryAct, ReportAct, SearchAct, read_arguments
from policies.audit_record import Change

Json = dict[str, Any]


def record_search(arguments: Json, _context: ActContext) -> Outcome:
    """Somebody is about to be shown what a search found."""
    asked = read_arguments(arguments, SearchAct)
    details = {"filter": asked.filter, "filter_hash": asked.filter_hash, "hits": asked.hits, "saved": asked.saved}
    return _noted("audit.searched", "audit:search", details, asked)


def record_export(arguments: Json, _context: ActContext) -> Outcome:
    """Somebody is about to be handed records; `opened` says whether with names and addresses."""
    asked = read_arguments(arguments, ExportAct)
    details = {
        "filter": asked.filter,
        "filter_hash": asked.filter_hash,
        "hits": asked.hits,
        "saved": asked.saved,
        "format": asked.format,
        "opened": asked.opened,
        "bundle": asked.bundle,
    }
    return _noted("audit.exported", "audit:export", details, asked)


def record_query_saved(arguments: Json, _context: ActContext) -> Outcome:
    """A search is about to be kept under a name."""
    asked = read_arguments(arguments, QueryAct)
    details: Json = {"filter": asked.filter, "filter_hash": asked.filter_hash, "saved": asked.name}
    return _noted("audit.query_saved", "audit:query", details, asked)


def record_query_removed(arguments: Json, _context: ActContext) -> Outcome:
    """A kept search is about to be removed."""
    asked = read_arguments(arguments, QueryAct)
    details: Json = {"filter": asked.filter, "filter_hash": asked.filter_hash, "saved": asked.name}
    return _noted("audit.query_removed", "audit:query", details, asked)


def record_report(arguments: Json, _context: ActContext) -> Outcome:
    """Somebody is about to be handed a report of the log; its hash says which bytes."""
    asked = read_arguments(arguments, ReportAct)
    details: Json = {"kind": asked.kind, "period": asked.period, "sha256": asked.sha256, "signed": asked.signed}
    said = {name: value for name, value in details.items() if value != ""}
    change = Change(object="audit:report", details=said, reason=asked.reason, ticket=asked.ticket)
    return Outcome(result={"recorded": "audit.reported"}, notes=(("audit.reported", change),))


def _noted(event: str, what: str, details: Json, asked: SearchAct | QueryAct) -> Outcome:
    said = {name: value for name, value in details.items() if value != ""}
    change = Change(object=what, details=said, reason=asked.reason, ticket=asked.ticket)
    return Outcome(result={"recorded": event}, notes=((event, change),))
