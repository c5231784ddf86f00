"""Lines as a report reads them: only the fields that a test is about."""

import json
from typing import Any

from policies.auditing.report_line import ReportLine, read_report_line
from policies.auditing.report_period import read_month

OCTOBER = read_month("2026-10")
BEFORE, IN, LATER, AFTER = (
    "2026-09-20T10:00:00.000000Z",
    "2026-10-10T10:00:00.000000Z",
    "2026-10-20T10:00:00.000000Z",
    "2026-11-02T10:00:00.000000Z",
)


def stored(event: str, ts: str = IN, **parts: Any) -> bytes:
    """A line with its newline."""
    return json.dumps({"v": 1, "seq": 0, "ts": ts, "event": event, **parts}).encode() + b"\n"


def line(event: str, ts: str = IN, **parts: Any) -> ReportLine:
    """The same, read."""
    return read_report_line(stored(event, ts, **parts))


def act(event: str, ts: str = IN, *, change: dict[str, Any], who: str = "pann", **parts: Any) -> ReportLine:
    """An admin act that was done."""
    told = {"actor": {"kind": "operator", "pseudonym": who}, "decision": {"effect": "allow"}} | parts
    return line(event, ts, stage="admin", change=change, **told)


def told(event: str, ts: str = IN, **details: Any) -> ReportLine:
    """Something that happened by itself."""
    return line(event, ts, stage="system", details=details)


def ended(request: str, ts: str = IN, event: str = "request.completed", **parts: Any) -> ReportLine:
    """The end of a request."""
    stages = {"request.completed": "completed", "request.failed": "completed", "request.aborted": "aborted"}
    actor = {"kind": "key", "team": "chem", "key_id": "k1", "pseudonym": "pann"}
    base = {"req_id": request, "actor": actor, "stage": stages.get(event, "denied"), "decision": {"effect": "allow"}}
    return line(event, ts, **(base | parts))
