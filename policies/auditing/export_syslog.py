"""Records as syslog messages (RFC 5424), one line each: structured data for machines, the exact line as the message.

Rules:
 (1) Facility 13 (log audit), severity by the code: informational, warning, error.
 (2) In a parameter's value a backslash, a quotation mark and a closing bracket are escaped (section 6.3.3), and what
     cannot be printed is written as a backslash escape, so that a message is one line. Names are ours alone.
 (3) The element's id ends in 32473, the enterprise number kept for such uses (RFC 5612): Corral has none of its own.
"""

import re
from collections.abc import Iterator

from policies.auditing.exported import PRODUCT, Exported, printable

FACILITY = 13
SEVERITIES = {"I": 6, "W": 4, "E": 3}
NOTICE = 5
ELEMENT = "corral@32473"
NIL = "-"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")
_UNFIT = re.compile(r"[^!-~]")
_VALUE = str.maketrans({"\\": "\\\\", '"': '\\"', "]": "\\]"})


def message(exported: Exported) -> str:
    """The message of one record, with the newline that ends it (RFC 6587, section 3.4.2)."""
    priority = FACILITY * 8 + SEVERITIES.get(exported.severity(), NOTICE)
    time = exported.text("ts") if _TIME.fullmatch(exported.text("ts")) else NIL
    host, instance = _name(exported.text("node"), 255), _name(exported.text("instance") or exported.chain, 128)
    code = _name(exported.text("code"), 32)
    told = "".join(f' {name}="{_value(value)}"' for name, value in _fields(exported))
    return f"<{priority}>1 {time} {host} {PRODUCT.lower()} {instance} {code} [{ELEMENT}{told}] {exported.line}\n"


def _fields(exported: Exported) -> Iterator[tuple[str, str]]:
    facts = exported.facts()
    named = (
        ("place", exported.place),
        ("event", facts.event),
        ("stage", facts.stage),
        ("outcome", facts.outcome),
        ("reason", facts.reason),
        ("team", facts.team),
        ("key", facts.key),
        ("actor", facts.actor),
        ("name", exported.name()),
        ("address", exported.address()),
        ("model", facts.model),
        ("route", facts.route),
        ("request", facts.request),
    )
    return ((name, value) for name, value in named if value)


def _name(text: str, limit: int) -> str:
    """A header field: printable ASCII without blanks, or nil (section 6)."""
    return _UNFIT.sub("?", text)[:limit] or NIL


def _value(text: str) -> str:
    return printable(text).translate(_VALUE)
